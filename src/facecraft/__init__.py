"""Facecraft: a self-hosted face and portrait studio."""
