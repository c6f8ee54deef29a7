"""Containers without a container engine: images of the emulated registry, unpacked and run as processes here."""

from orchestrator.emulator.container_runtime.instance import check_isolation
from orchestrator.emulator.container_runtime.process_runtime import ProcessRuntime

__all__ = ["ProcessRuntime", "check_isolation"]
