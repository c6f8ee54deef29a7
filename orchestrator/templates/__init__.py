"""Files that ``orchestrator init`` writes: a production Dockerfile and its ``.dockerignore`` per application type."""
