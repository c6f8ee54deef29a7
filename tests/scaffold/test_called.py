"""The workflows that `orchestrator init` writes, run end to end: each calls the real one of another repository."""

from __future__ import annotations

import pytest

from orchestrator.scaffold import workflows
from tests.github.act import OURS
from tests.github.conftest import shared, shop
from tests.github.shop import Shop, bucket

__all__ = ["shared", "shop"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_lines_are_enough(shop: Shop) -> None:
    """A plan on the pull request and a deploy on merge, by the files of a project of its own."""
    shop.write(dict(workflows.files(f"{OURS}@here")))
    shop.commit("Let the orchestrator in")
    number = shop.propose({"manifests/files.yaml": bucket("files")})
    planned = shop.plan(number)

    assert planned.code == 0, planned.log
    (comment,) = shop.hub.comments_on(number)
    assert "s3_bucket.files" in comment["body"]
    shop.merge(number)
    run = shop.deploy()
    assert run.code == 0, run.log
    assert "shop-files" in shop.buckets()
    assert "this very plan was reviewed" in run.log
