"""Overrides of a backend's services: one class per service, for operations the backend answers unlike AWS."""
