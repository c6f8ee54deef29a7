"""Run containers without a container engine: unpack images of the emulated registry, run them as processes."""

from orchestrator.emulator.container_runtime.container import check_isolation
from orchestrator.emulator.container_runtime.process_runtime import ProcessRuntime

__all__ = ["ProcessRuntime", "check_isolation"]
