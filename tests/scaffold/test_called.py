"""The workflows that `orchestrator init` writes, run end to end: each calls the real one of another repository."""

from __future__ import annotations

import pytest

from orchestrator.scaffold import workflows
from tests.github.conftest import shared, shop
from tests.github.shop_repository import ShopRepository, bucket_manifest
from tests.github.workflow_runner import TOOL_REPOSITORY

__all__ = ["shared", "shop"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_lines_are_enough(shop: ShopRepository) -> None:
    """A plan on the pull request and a deploy on merge, by the files of a project of its own."""
    shop.write(dict(workflows.render_files(f"{TOOL_REPOSITORY}@here")))
    shop.commit("Let the orchestrator in")
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")})
    planned = shop.run_plan(number)

    assert planned.code == 0, planned.log
    (comment,) = shop.hub.list_comments(number)
    assert "s3_bucket.files" in comment["body"]
    shop.merge(number)
    run = shop.run_deploy()
    assert run.code == 0, run.log
    assert "shop-files" in shop.list_buckets()
    assert "this exact plan was reviewed" in run.log
