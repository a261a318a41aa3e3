"""The endpoints, one module for what belongs together in their paths; what they share is in the packages beside."""
