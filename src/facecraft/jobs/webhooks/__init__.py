"""Addresses that are told when jobs end: Standard Webhooks 1.0. See the modules of this package."""
