"""The small stack of the command line's tests, and the AWS that it is deployed to."""

from tests.cli.conftest import _root_logger, aws, by_hand, manifests, run, service, shared

__all__ = ["_root_logger", "aws", "by_hand", "manifests", "run", "service", "shared"]
