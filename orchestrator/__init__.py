"""GitOps for one AWS account. Imports nothing, so that `orchestrator --version` is instant."""

__version__ = "0.1.0"
