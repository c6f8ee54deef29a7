"""`orchestrator model status --publish` runs in a workflow, with the role of a deploy."""

from __future__ import annotations

from pathlib import Path

from orchestrator.aws import Clients
from orchestrator.model_registry import registry, staleness
from orchestrator.planning import pipeline
from orchestrator.storage.s3 import S3FileStorage
from tests.bootstrap.iam_requests import Environment
from tests.bootstrap.recording_clients import RecordingClients
from tests.bootstrap.roles import Roles
from tests.proofs import real_stack
from tests.storage.test_model_registry import version

ENVIRONMENT = Environment("shop", "prod")
MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files, prefixes: [product-photos, ml-models]}
"""


def test_a_workflow_may_publish_that_training_is_needed(tmp_path: Path) -> None:
    """Every request, as IAM judges it; the role of a plan may look, and not write."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "shop.yaml").write_text(MANIFESTS)
    with real_stack.emulated_aws():
        Clients("eu-west-1").call("s3", "create_bucket", {
            "Bucket": "shop-files", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"},
        })  # fmt: skip
        storage = S3FileStorage(Clients("eu-west-1"), "shop-files")
        storage.put("product-photos/ring/1.jpg", b"ring")
        registry.publish(storage, tmp_path / "m1", version(tmp_path / "m1", "m1"), None)
        clients = RecordingClients()
        watched = S3FileStorage(clients, "shop-files")
        comparison = staleness.check_staleness(watched)
        looked = list(ENVIRONMENT.iter_requests(clients.calls))
        staleness.publish_status(watched, comparison, "2026-11-30T12:00:00Z")
        wrote = list(ENVIRONMENT.iter_requests(clients.calls))[len(looked) :]
        roles = Roles(pipeline.load_desired(manifests))

    assert len(looked) >= 3
    assert [request.action for request in wrote] == ["s3:PutObject"]
    assert {role: roles.list_denied(role, looked) for role in ("plan", "deploy")} == {"plan": [], "deploy": []}
    assert roles.list_denied("deploy", wrote) == []
    assert roles.list_denied("plan", wrote) != []
