"""Containers without a container engine: images of the emulated registry, unpacked and run as processes here."""

from orchestrator.emulator.container_runtime.instance import trouble
from orchestrator.emulator.container_runtime.process_runtime import Fleet

__all__ = ["Fleet", "trouble"]
