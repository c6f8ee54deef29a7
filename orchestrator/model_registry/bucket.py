"""Find the bucket with photos and models: the one that has the prefix ``ml-models``."""

from __future__ import annotations

from pathlib import Path

from orchestrator.problems import Problems
from orchestrator.storage import FileStorage


def find_storage(manifests: Path, environment: str | None) -> FileStorage:
    """Return the storage of the model bucket that the manifests define.

    Raises Problems if there is none or more than one.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release.live_versions import is_model_bucket
    from orchestrator.storage.s3 import S3FileStorage

    desired = pipeline.load_desired(manifests, environment, include_artefacts=False)
    bucket_handles = {item.handle for item in desired.components if is_model_bucket(item)}
    model_buckets = [
        item for item in desired.resources if item.type == "s3_bucket" and item.component in bucket_handles
    ]
    if len(model_buckets) != 1:
        count_phrase = "no bucket has" if not model_buckets else f"{len(model_buckets)} buckets have"
        raise Problems.from_message(
            f"{count_phrase} the prefix ml-models: exactly one bucket must have it to store models",
            hint="set `prefixes: [product-photos, ml-models]` in the spec of one Bucket",
        )
    return S3FileStorage(Clients.for_scope(desired.scope), model_buckets[0].physical)
