"""What ``orchestrator init`` writes: a production Dockerfile and its ``.dockerignore`` by kind of application."""
