"""Serve the state service: HTTP API, pages and database."""
