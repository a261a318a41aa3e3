"""Requests that become jobs: what is sent for one, the work done at once or put into the queue, and what is told of it."""
