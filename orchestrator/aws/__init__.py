"""Access AWS: ``Reader`` reads, ``StepExecutor`` performs steps.  No other package calls AWS."""

from orchestrator.aws.clients import Clients
from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import Reader
from orchestrator.aws.step_executor import StepExecutor, StepFailedError, WaitTimeoutError

__all__ = ["AwsError", "Clients", "Reader", "StepExecutor", "StepFailedError", "WaitTimeoutError"]
