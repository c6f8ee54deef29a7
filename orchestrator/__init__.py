"""Deploy one AWS account with GitOps. This module imports nothing, so that `orchestrator --version` starts fast."""

__version__ = "0.1.0"
