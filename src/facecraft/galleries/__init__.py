"""Enrolled people and the search for a face among them. See :mod:`facecraft.galleries.galleries`."""
