"""Stored files on their way out: sent a piece at a time, or many of them in one ZIP."""
