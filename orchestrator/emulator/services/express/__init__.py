"""Emulate ECS Express Mode, which no backend has: gateway services, their revisions and deployments."""
