"""The HTTP door: FastAPI over `Studio`, and nothing else."""
