"""Manage secrets and the values generated into them.

API: Secrets Manager CreateSecret, PutSecretValue, RestoreSecret.

Tags declare the generated values (``orchestrator:generated:KEY`` with the length), so that planning reads no value. An
existing value is never generated again, because others (such as a database) already use it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.problems import Problems
from orchestrator.quantities import parse_count
from orchestrator.resources import AwsReader
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import Watch, Watched
from orchestrator.secret_rotation import TOKEN_LENGTH, build_version_id, current_version, find_rotation
from orchestrator.steps import ApiCall, Compute, GenerateSecret, Step, Steps
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import FieldChange, LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = True
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:secretsmanager:[^:]+:\d+:secret:(?P<name>.+)-[A-Za-z0-9]{6}")

NOT_FOUND_CODES = ("ResourceNotFoundException",)
DELETED_CODES = tuple(
    f"InvalidRequestException: {text}" for text in ("scheduled for deletion", "marked for deletion", "marked deleted")
)
TAG_GENERATED = "orchestrator:generated:"
TAG_VERSION = "orchestrator:version"
TAG_EXTERNAL = "orchestrator:external:"
"""Prefix of the tags of external values; their value says when and by whom it was set."""
WATCHED = {
    "rotation": Watched(
        "RotationEnabled", "AWS rotates this secret; to stop that, run `aws secretsmanager cancel-rotate-secret`"
    ),
    "replicas": Watched(
        "ReplicationStatus[].Region",
        "The secret is copied to other regions; to stop that, run `aws secretsmanager remove-regions-from-replication`",
    ),
    "partner_type": Watched("Type", "An AWS partner manages and rotates this secret"),
}
RESOURCE_POLICY = Watched(
    "ResourcePolicy",
    "It can allow others to read the secret; to remove it, run `aws secretsmanager delete-resource-policy`",
)
RECOVERY_WINDOW_DAYS = 30


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with ``generate`` as a list, so that a key that is no longer declared is a difference too."""
    generate = spec.get("generate", {})
    if isinstance(generate, Mapping):
        generate = [{"key": key, "length": length} for key, length in generate.items()]
    defaults: dict[str, Value] = {"scheduled_for_deletion": False, "kms_key": None, "external": []}
    return {**defaults, **spec, "generate": sort_canonically(generate)}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the secret, or None.

    A deleted secret can be restored for weeks: it is returned if a spec declares it, and hidden when pruning.
    """
    response = aws.get("secretsmanager", "describe_secret", SecretId=name, missing=NOT_FOUND_CODES)
    is_deleted = bool(response and response.get("DeletedDate"))
    if response is None or (is_deleted and not spec):
        return None
    tags = from_aws_tags(response.get("Tags"))
    generated = {key.removeprefix(TAG_GENERATED): value for key, value in tags.items() if key.startswith(TAG_GENERATED)}
    live_spec = {
        "description": response.get("Description", ""),
        "kms_key": response.get("KmsKeyId") or None,  # "" after the key was taken back
        "generate": {key: length for key, value in generated.items() if (length := parse_count(value)) is not None},
        "external": sorted(key.removeprefix(TAG_EXTERNAL) for key in tags if key.startswith(TAG_EXTERNAL)),
        "scheduled_for_deletion": is_deleted,
        "tags": tags,
    }
    rotation = find_rotation(current_version(response.get("VersionIdsToStages")))
    live_spec["rotation"] = rotation
    watch = Watch(aws)
    if spec and not is_deleted:
        watch.add(WATCHED, response)
        watch.read(
            "resource_policy",
            RESOURCE_POLICY,
            "secretsmanager",
            "get_resource_policy",
            missing=NOT_FOUND_CODES,
            SecretId=name,
        )
    return LiveResource(
        normalise(live_spec),
        {"arn": response["ARN"], "name": name, "rotation": rotation},
        status="scheduled for deletion" if is_deleted else "",
        **watch.fields,
        **parse_ownership(tags),
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the secret with its tags and first value in one call, so that it is never incomplete."""
    generated = yield from _generate_values(spec["generate"])
    request: dict[str, Value] = {
        "Name": name,
        "SecretString": (yield Compute("secret document", _build_document, generated)),
        "Tags": to_aws_tags({**spec["tags"], **_build_generated_tags(spec["generate"])}),
    }
    request |= {member: spec[key] for key, member in _SECRET_MEMBERS.items() if spec.get(key)}
    yield ApiCall(
        "secretsmanager",
        "create_secret",
        request,
        retry_codes=DELETED_CODES,  # deleted without recovery: the name is free again shortly
        exists_codes=("ResourceExistsException",),
        read_existing=confirm_existing(read, scope, name, spec, compared=True),
    )
    response = yield ApiCall(
        "secretsmanager", "describe_secret", {"SecretId": name}, retry_codes=NOT_FOUND_CODES, timeout_seconds=60
    )
    return {"arn": response["ARN"], "name": name, "rotation": ""}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Generate and add missing values, and tag them last, because the tags state that the values exist.

    Without a new key no value is written: the secret's value belongs to its template, and another version would look
    like a manual change.
    """
    secret = {"SecretId": live.outputs["arn"]}
    if "scheduled_for_deletion" in changed:
        yield ApiCall("secretsmanager", "restore_secret", secret)
    # an empty key means the AWS-managed one (UpdateSecret)
    changed_members = {member: spec[key] or "" for key, member in _SECRET_MEMBERS.items() if key in changed}
    if changed_members:
        yield ApiCall("secretsmanager", "update_secret", {**secret, **changed_members})
    if "generate" in changed:
        live_keys, desired_keys = _key_names(live.spec["generate"]), _key_names(spec["generate"])
        if desired_keys - live_keys:
            yield from _add_missing_keys(secret, spec["generate"])
        if live_keys - desired_keys:
            obsolete_tags = [TAG_GENERATED + key for key in sorted(live_keys - desired_keys)]
            yield ApiCall("secretsmanager", "untag_resource", {**secret, "TagKeys": obsolete_tags})
    if obsolete := sorted(set(live.spec["external"]) - set(spec["external"])):
        yield ApiCall(
            "secretsmanager", "untag_resource", {**secret, "TagKeys": [TAG_EXTERNAL + key for key in obsolete]}
        )
    if changed & {"generate", "tags"}:
        tags = to_aws_tags({**spec["tags"], **_build_generated_tags(spec["generate"])})
        yield ApiCall("secretsmanager", "tag_resource", {**secret, "Tags": tags})
    if "rotation" in changed:
        yield from _rotate(secret, spec)
        return {"rotation": spec["rotation"]}
    return {}


def missing_values(spec: Mapping[str, Value], live: LiveResource | None) -> Iterator[str]:
    """Yield the external values that nobody has set yet."""
    present = set(live.spec["external"]) if live else set()
    yield from (key for key in spec.get("external", ()) if key not in present)


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Schedule the deletion: for 30 days, the same manifest restores the secret with its values and ARN."""
    request = {"SecretId": live.outputs["arn"], "RecoveryWindowInDays": RECOVERY_WINDOW_DAYS}
    yield ApiCall("secretsmanager", "delete_secret", request, ok_codes=(*NOT_FOUND_CODES, *DELETED_CODES))
    return {}


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """Yield what a rotation means to users."""
    if any(field.path == ("rotation",) for field in fields):
        yield (
            "New values are generated. Data signed with an old value stays valid only for services that also read the "
            "previous key."
        )


def stuck(live: LiveResource) -> str:
    """Return how to restore a secret that is scheduled for deletion, else ""."""
    return "The secret is scheduled for deletion. Apply the manifest to restore it." if live.status else ""


_SECRET_MEMBERS = {"description": "Description", "kms_key": "KmsKeyId"}


def _generate_values(declarations: list[Mapping[str, Any]]) -> Generator[Step, Any, tuple[Value, ...]]:
    """Return the keys, then a new secret for each: the arguments of ``_build_document``.

    Each secret is an argument of its own so that it stays Sensitive.
    """
    arguments: tuple[Value, ...] = ([item["key"] for item in declarations],)
    for item in declarations:
        arguments += ((yield GenerateSecret(item["length"])),)
    return arguments


def _add_missing_keys(secret: Mapping[str, Value], declarations: list[Mapping[str, Any]]) -> Steps:
    """Generate the missing keys; a secret without a value answers as if it did not exist."""
    current = yield ApiCall("secretsmanager", "get_secret_value", secret, ok_codes=NOT_FOUND_CODES, is_sensitive=True)
    generated = yield from _generate_values(declarations)
    document = yield Compute("secret document with the missing keys added", _merge_document, (current, *generated))
    yield ApiCall("secretsmanager", "put_secret_value", {**secret, "SecretString": document})
    return {}


def _rotate(secret: Mapping[str, Value], spec: Mapping[str, Value]) -> Steps:
    """Write a version with new values, whose id names the rotation; what stands for a database reads it from there.

    Secrets Manager makes the request's token the id of the version (PutSecretValue).
    """
    keys = spec["rotated_keys"].value
    lengths = {item["key"]: item["length"] for item in spec["generate"]}
    current = yield ApiCall("secretsmanager", "get_secret_value", secret, is_sensitive=True)
    generated = yield from _generate_values([{"key": key, "length": lengths[key]} for key in keys])
    arguments = (current, spec["previous_keys"].value, *generated)
    document = yield Compute("secret document with new values", rotate_document, arguments)
    token = yield GenerateSecret(TOKEN_LENGTH)
    version = yield Compute("version id", build_version_id, (token, spec["rotation"]))
    request = {**secret, "SecretString": document, "ClientRequestToken": version}
    response = yield ApiCall("secretsmanager", "put_secret_value", request)
    tags = to_aws_tags({TAG_VERSION: response["VersionId"]})
    yield ApiCall("secretsmanager", "tag_resource", {**secret, "Tags": tags})
    return {}


def rotate_document(current: Mapping[str, Any], previous_keys: Mapping[str, str], keys: list[str], *values: str) -> str:
    """Return the document with new values, and under ``previous_keys`` the values that they replace."""
    document = _parse_document(current)
    previous = {previous_keys[key]: document[key] for key in keys if key in previous_keys and key in document}
    return json.dumps({**document, **dict(zip(keys, values, strict=True)), **previous}, sort_keys=True)


def _build_document(keys: list[str], *values: str) -> str:
    return json.dumps(dict(zip(keys, values, strict=True)), sort_keys=True)


def _merge_document(current: Mapping[str, Any], keys: list[str], *values: str) -> str:
    """Return the document with missing keys added and existing ones unchanged."""
    return json.dumps({**dict(zip(keys, values, strict=True)), **_parse_document(current)}, sort_keys=True)


def _parse_document(current: Mapping[str, Any]) -> dict[str, Any]:
    try:
        document = json.loads(current.get("SecretString") or "{}")
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Problems.from_message(
            "the secret's value is not a JSON object", hint="store a JSON object in it, or choose another name"
        )
    return document


def _build_generated_tags(generate: list[Mapping[str, Any]]) -> dict[str, str]:
    return {TAG_GENERATED + item["key"]: str(item["length"]) for item in generate}


def _key_names(generate: list[Mapping[str, Any]]) -> set[str]:
    return {item["key"] for item in generate}
