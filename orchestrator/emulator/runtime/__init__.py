"""Containers without a container engine: images of the emulated registry, unpacked and run as processes here."""

from orchestrator.emulator.runtime.fleet import Fleet
from orchestrator.emulator.runtime.instance import trouble

__all__ = ["Fleet", "trouble"]
