"""How the server is doing: what it counts, whether its parts answer and its models are ready, and news of jobs."""
