"""The bucket in which a shop keeps its photos and models: the one that has ``ml-models`` among its prefixes."""

from __future__ import annotations

from pathlib import Path

from orchestrator.problems import Problems
from orchestrator.storage import FileStorage


def find(manifests: Path, environment: str | None) -> FileStorage:
    """The storage of that bucket, as the manifests name it.

    Raises Problems: there is none, or several.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release.live_versions import holds_models
    from orchestrator.storage.s3 import S3FileStorage

    desired = pipeline.desired(manifests, environment, shipping=False)
    holding = {one.handle for one in desired.components if holds_models(one)}
    made = [one for one in desired.resources if one.type == "s3_bucket" and one.component in holding]
    if len(made) != 1:
        counted = "no bucket has" if not made else f"{len(made)} buckets have"
        raise Problems.one(
            f"{counted} ml-models among the prefixes, so nothing says where models are kept",
            hint="write prefixes: [product-photos, ml-models] in the spec of one Bucket",
        )
    return S3FileStorage(Clients(desired.scope.region), made[0].physical)
