"""Manage the JSON document inside a secret.

API: Secrets Manager GetSecretValue, PutSecretValue, TagResource, UpdateSecretVersionStage.

The document is built from a template in which ``{{generated KEY}}`` refers to a value that the secret already has. If
``version`` is set, that earlier version becomes current again and nothing is built. Planning compares two tags: a
fingerprint of the template (which contains no secret) and the id of the version written from it. A manually changed
value has another version, so it is detected without being read. Keys that the template does not name are kept, because
somebody set them by hand, unless the spec has ``remove_unknown_keys``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.secret_rotation import ROTATION_MARK, TOKEN_LENGTH, build_version_id, current_version
from orchestrator.steps import ApiCall, Compute, GenerateSecret, Steps, call
from orchestrator.values import Unknown, Value, WriteOnly, is_known
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"secretsmanager_secret", "rds_instance"})
ARN = None

NOT_FOUND_CODES = ("ResourceNotFoundException",)
TAG_FINGERPRINT = "orchestrator:fingerprint"
TAG_VERSION = "orchestrator:version"
MANUAL_CHANGE = "changed manually"

_PLACEHOLDER = re.compile(r"\{\{(?:generated|external) ([^{}]+)\}\}")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with the template's fingerprint, which is unknown while part of the template is."""
    if "template" not in spec:
        return spec
    declared = spec["template"]
    template = declared.value if isinstance(declared, WriteOnly) else declared
    version_field = {"version": spec["version"]} if "version" in spec else {}
    removal = {"remove_unknown_keys": WriteOnly(True)} if "remove_unknown_keys" in spec else {}
    declared_rotation = spec.get("rotation", "")
    rotation = declared_rotation.value if isinstance(declared_rotation, WriteOnly) else declared_rotation
    marks = {"": "exact"} if removal else {}
    marks |= {} if _is_none(rotation) else {ROTATION_MARK: rotation}
    fields = {**version_field, **removal, "rotation": WriteOnly(rotation)}
    return {"template": WriteOnly(template), "fingerprint": compute_fingerprint({**template, **marks}), **fields}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the fingerprint and version of the value from DescribeSecret, or None."""
    response = aws.get("secretsmanager", "describe_secret", SecretId=name, missing=NOT_FOUND_CODES)
    if response is None or response.get("DeletedDate"):
        return None
    tags = from_aws_tags(response.get("Tags"))
    version = current_version(response.get("VersionIdsToStages"))
    written_fingerprint = tags.get(TAG_FINGERPRINT)
    is_manually_changed = written_fingerprint is not None and version != tags.get(TAG_VERSION)
    return LiveResource(
        {"fingerprint": MANUAL_CHANGE if is_manually_changed else written_fingerprint, "version": version},
        {"fingerprint": written_fingerprint, "version": version},
        status=MANUAL_CHANGE if is_manually_changed else "",
        **parse_ownership(tags),
    )


def adoption_losses(spec: Mapping[str, Value], live: LiveResource) -> Iterator[str]:
    """Yield the keys whose values a first write replaces; values that are generated or set from outside stay."""
    if live.outputs["version"] is None or "template" not in spec:
        return
    template: Mapping[str, Value] = spec["template"]
    replaced = [key for key, text in template.items() if not (isinstance(text, str) and _PLACEHOLDER.fullmatch(text))]
    if replaced:
        yield f"the current values of the keys {', '.join(sorted(replaced))}, if they exist"
    if "remove_unknown_keys" in spec:
        yield "the values of all keys that the manifest does not name (`unknownKeys: remove`)"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Build the document, write it, and then tag it."""
    secret = {"SecretId": name}
    current = yield ApiCall("secretsmanager", "get_secret_value", secret, ok_codes=NOT_FOUND_CODES, is_sensitive=True)
    build = build_exact_document if "remove_unknown_keys" in spec else build_document
    document = yield Compute("secret document", build, (current, spec["template"]))
    request = {**secret, "SecretString": document}
    rotation = spec["rotation"].value
    if not _is_none(rotation):
        token = yield GenerateSecret(TOKEN_LENGTH)
        request["ClientRequestToken"] = yield Compute("version id", build_version_id, (token, rotation))
    put_response = yield ApiCall("secretsmanager", "put_secret_value", request)
    tags = [
        {"Key": TAG_FINGERPRINT, "Value": spec["fingerprint"]},
        {"Key": TAG_VERSION, "Value": put_response["VersionId"]},
    ]
    yield ApiCall("secretsmanager", "tag_resource", {**secret, "Tags": tags})
    return {"fingerprint": spec["fingerprint"], "version": put_response["VersionId"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Write the document again with the generated values of the current version, or restore an earlier version."""
    if "version" in spec:
        return (yield from _restore_version(name, spec, live))
    return (yield from create(scope, name, spec))


def _restore_version(name: str, spec: Mapping[str, Value], live: LiveResource) -> Steps:
    """Make an earlier version current; no value is read or written."""
    version, current = spec["version"], live.outputs["version"]
    if version != current:
        stage_change = {"VersionStage": "AWSCURRENT", "MoveToVersionId": version, "RemoveFromVersionId": current}
        yield call("secretsmanager", "update_secret_version_stage", SecretId=name, **stage_change)
    tags = [{"Key": TAG_FINGERPRINT, "Value": spec["fingerprint"]}, {"Key": TAG_VERSION, "Value": version}]
    yield call("secretsmanager", "tag_resource", SecretId=name, Tags=tags)
    return {"fingerprint": spec["fingerprint"], "version": version}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Do nothing: the value is deleted with its secret."""
    yield from ()
    return {}


def compute_fingerprint(template: Mapping[str, Value]) -> Value:
    """Return a short hash of a template, or Unknown while part of it is."""
    if not is_known(template):
        return Unknown("fingerprint")
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def build_document(current: Mapping[str, Any], template: Mapping[str, str]) -> str:
    """Return the document as JSON text: the template with values of the ``current`` version, and its other keys.

    A key with ``:`` is added under a name with ``__`` too, because Secrets Manager's ``arn:json-key:...`` references
    cannot name it; .NET treats both as the same setting. Raises Problems if a value is missing, or if the current value
    is not a JSON object.
    """
    current_values = _parse_document(current)
    return json.dumps({**current_values, **_fill_template(template, current_values)}, sort_keys=True)


def build_exact_document(current: Mapping[str, Any], template: Mapping[str, str]) -> str:
    """Return the document as ``build_document`` does, without the keys that the template does not name."""
    return json.dumps(_fill_template(template, _parse_document(current)), sort_keys=True)


def _is_none(rotation: Value) -> bool:
    """Return whether the generated values were never rotated; a rotation that is not known yet is one."""
    return isinstance(rotation, str) and not rotation


def _fill_template(template: Mapping[str, str], current_values: Mapping[str, Any]) -> dict[str, str]:
    document = {key: _fill_placeholders(text, current_values) for key, text in template.items()}
    return {**document, **{key.replace(":", "__"): text for key, text in document.items()}}


def _parse_document(current: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of the current value.  Raises Problems if it is not a JSON object: writing would destroy it."""
    text = current.get("SecretString")
    if text is None and "SecretBinary" not in current:
        return {}
    try:
        document = json.loads(text or "{}") if "SecretBinary" not in current else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        message = (
            "the secret's current value is not a JSON object, and setting keys would destroy it; nothing was changed"
        )
        raise Problems.from_message(message, hint="store it under a key of a JSON object, or use another secret name")
    return document


def _fill_placeholders(text: str, current_values: Mapping[str, Any]) -> str:
    missing = sorted(set(_PLACEHOLDER.findall(text)) - set(current_values))
    if missing:
        message = f"the secret has no value for {', '.join(missing)}"
        hint = f"remove the secret's tag `orchestrator:generated:{missing[0]}` and apply again"
        if f"{{{{external {missing[0]}}}}}" in text:
            hint = f"set it with `orchestrator secret set SECRET {missing[0]}`"
        raise Problems.from_message(message, hint=hint)
    return _PLACEHOLDER.sub(lambda match: str(current_values[match[1]]), text)
