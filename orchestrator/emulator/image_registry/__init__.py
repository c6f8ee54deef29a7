"""Serve ECR's data plane: the registry that container engines push to and pull from, under ``/v2/``."""

from orchestrator.emulator.image_registry.distribution_api import Registry

__all__ = ["Registry"]
