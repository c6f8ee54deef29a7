"""Restore which model a shop's browsers load: a pointer object beside the models. API: S3 GetObject, CopyObject.

``ml.upload_model`` uploads models and moves the pointer. A deployment leaves it alone; a rollback restores it from the
copy that each release keeps in the release bucket. A promotion first copies the model's files from another environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.artefacts import ModelOrigin
from orchestrator.resources import AwsReader
from orchestrator.steps import Batch, Steps, call
from orchestrator.values import Value
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"s3_bucket"})
ARN = None


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec unchanged."""
    return spec


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the version that the pointer names, or None. ``name`` is ``BUCKET/KEY``."""
    bucket, _, key = name.partition("/")
    request = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": scope.account}
    response = aws.find_object(**request)
    if response is None:
        return None
    return LiveResource({"version": _parse_version(response["Body"].read()), "kept": spec["kept"]}, owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Copy the files of a promoted model, then the pointer within S3, which is atomic for readers."""
    bucket, _, key = name.partition("/")
    headers = {"ContentType": "application/json", "CacheControl": "no-cache", "MetadataDirective": "REPLACE"}
    owners = {"ExpectedBucketOwner": scope.account, "ExpectedSourceBucketOwner": scope.account}
    pointer = spec["kept"]
    if "origin" in spec:
        origin: ModelOrigin = spec["origin"].value
        files = [(file, f"{origin.bucket}/{file}") for file in origin.keys]
        copies = (
            call("s3", "copy_object", Bucket=bucket, Key=name, CopySource=source, **owners) for name, source in files
        )
        yield Batch(tuple(copies), f"files of model {spec['version']}, from {origin.bucket}")
        pointer = origin.pointer
    yield call("s3", "copy_object", Bucket=bucket, Key=key, CopySource=pointer, **headers, **owners)
    return {"version": spec["version"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Copy the pointer again."""
    return (yield from create(scope, name, spec))


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Do nothing: the pointer is deleted with its bucket."""
    yield from ()
    return {}


def _parse_version(body: bytes) -> str | None:
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return str(document["version"]) if isinstance(document, Mapping) and document.get("version") else None
