"""The only door to AWS: ``Reader`` reads, ``Actuator`` performs steps.  Nothing outside this package imports boto3."""

from orchestrator.aws.actuator import StepExecutor, StepFailedError, WaitTimeoutError
from orchestrator.aws.clients import Clients
from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import Reader

__all__ = ["AwsError", "Clients", "Reader", "StepExecutor", "StepFailedError", "WaitTimeoutError"]
