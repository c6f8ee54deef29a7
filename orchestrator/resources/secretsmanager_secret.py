"""Secrets and the values generated into them.  API: Secrets Manager CreateSecret, PutSecretValue, RestoreSecret.

What is generated is declared by tags (``orchestrator:generated:KEY`` with the length), so that planning reads no
value.  A value that exists is never generated again: others, a database say, were told of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.problems import Problems
from orchestrator.resources import Aws
from orchestrator.steps import Call, Compute, Generate, Step, Steps
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = True
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:secretsmanager:[^:]+:\d+:secret:(?P<name>.+)-[A-Za-z0-9]{6}")

GONE = ("ResourceNotFoundException",)
DELETED_ALREADY = ("InvalidRequestException",)
TAG_GENERATED = "orchestrator:generated:"
RECOVERY_DAYS = 30


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """``generate`` (key -> length) becomes a list, so that a key which is wanted no more is a difference too."""
    generate = spec.get("generate", {})
    if isinstance(generate, Mapping):
        generate = [{"key": key, "length": length} for key, length in generate.items()]
    return {"scheduled_for_deletion": False, **spec, "generate": canonical(generate)}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One DescribeSecret, which the value shares.

    A deleted secret can be restored for weeks: who wants it sees it so, who prunes sees nothing.
    """
    answer = aws.get("secretsmanager", "describe_secret", SecretId=name, missing=GONE)
    deleted = bool(answer and answer.get("DeletedDate"))
    if answer is None or (deleted and not spec):
        return None
    tags = mapping(answer.get("Tags"))
    generated = {key.removeprefix(TAG_GENERATED): value for key, value in tags.items() if key.startswith(TAG_GENERATED)}
    found = {
        "description": answer.get("Description", ""),
        "kms_key": answer.get("KmsKeyId"),
        "generate": {key: int(value) for key, value in generated.items() if value.isdigit()},
        "scheduled_for_deletion": deleted,
        "tags": tags,
    }
    status = "scheduled for deletion" if deleted else ""
    return Live(normalise(found), {"arn": answer["ARN"], "name": name}, status=status, **marks(tags))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Name, marks and the first value in one call: there is no half-made secret."""
    generated = yield from _generate(spec["generate"])
    body: dict[str, Value] = {
        "Name": name,
        "SecretString": (yield Compute("secret document", _document, generated)),
        "Tags": pairs({**spec["tags"], **_declaration(spec["generate"])}),
    }
    body |= {member: spec[key] for key, member in _MEMBERS.items() if spec.get(key)}
    scheduled = "scheduled for deletion"  # the name is free again in a moment: it was deleted without recovery
    retry = ("InvalidRequestException",)
    yield Call(
        "secretsmanager", "create_secret", body, ok=("ResourceExistsException",), retry=retry, retry_text=scheduled
    )
    answer = yield Call("secretsmanager", "describe_secret", {"SecretId": name}, retry=GONE, patience=60)
    return {"arn": answer["ARN"], "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """What is missing is generated and added; the tags, which say that it is there, come last.

    Without a new key nothing is written: the value beside is written for what its template says, and a version more
    would look as if somebody had changed it by hand.
    """
    secret = {"SecretId": live.outputs["arn"]}
    if "scheduled_for_deletion" in changed:
        yield Call("secretsmanager", "restore_secret", secret)
    described = {member: spec[key] for key, member in _MEMBERS.items() if key in changed}
    if described:
        yield Call("secretsmanager", "update_secret", {**secret, **described})
    if "generate" in changed:
        had, wanted = _keys(live.spec["generate"]), _keys(spec["generate"])
        if wanted - had:
            yield from _add(secret, spec["generate"])
        if had - wanted:
            unwanted = [TAG_GENERATED + key for key in sorted(had - wanted)]
            yield Call("secretsmanager", "untag_resource", {**secret, "TagKeys": unwanted})
    if changed & {"generate", "tags"}:
        tags = pairs({**spec["tags"], **_declaration(spec["generate"])})
        yield Call("secretsmanager", "tag_resource", {**secret, "Tags": tags})
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Into the recovery window: for 30 days the same manifest brings it back with its values and its ARN."""
    body = {"SecretId": live.outputs["arn"], "RecoveryWindowInDays": RECOVERY_DAYS}
    yield Call("secretsmanager", "delete_secret", body, ok=(*GONE, *DELETED_ALREADY))
    return {}


def stuck(live: Live) -> str:
    """What to know about a deleted one."""
    return "it is scheduled for deletion; applying the manifest restores it" if live.status else ""


_MEMBERS = {"description": "Description", "kms_key": "KmsKeyId"}


def _generate(wanted: list[Mapping[str, Any]]) -> Generator[Step, Any, tuple[Value, ...]]:
    """The keys, then a new secret for each: the arguments of ``_document``, where a secret must stand by itself."""
    arguments: tuple[Value, ...] = ([item["key"] for item in wanted],)
    for item in wanted:
        arguments += ((yield Generate(item["length"])),)
    return arguments


def _add(secret: Mapping[str, Value], wanted: list[Mapping[str, Any]]) -> Steps:
    """A secret that was never given a value answers as one that is not there."""
    current = yield Call("secretsmanager", "get_secret_value", secret, ok=GONE, sensitive=True)
    generated = yield from _generate(wanted)
    document = yield Compute("secret document, what is missing added", _merged, (current, *generated))
    yield Call("secretsmanager", "put_secret_value", {**secret, "SecretString": document})
    return {}


def _document(keys: list[str], *values: str) -> str:
    return json.dumps(dict(zip(keys, values, strict=True)), sort_keys=True)


def _merged(current: Mapping[str, Any], keys: list[str], *values: str) -> str:
    """What is there stays as it is."""
    return json.dumps({**dict(zip(keys, values, strict=True)), **_parsed(current)}, sort_keys=True)


def _parsed(current: Mapping[str, Any]) -> dict[str, Any]:
    try:
        document = json.loads(current.get("SecretString") or "{}")
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Problems.one(
            "the secret's value is no JSON object", hint="store a JSON object in it, or take another name"
        )
    return document


def _declaration(generate: list[Mapping[str, Any]]) -> dict[str, str]:
    return {TAG_GENERATED + item["key"]: str(item["length"]) for item in generate}


def _keys(generate: list[Mapping[str, Any]]) -> set[str]:
    return {item["key"] for item in generate}
