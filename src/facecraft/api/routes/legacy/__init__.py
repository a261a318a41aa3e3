"""Endpoints kept for the clients of earlier systems, with the fields and words these had."""
