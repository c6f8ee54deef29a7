"""The JSON document inside a secret.  API: Secrets Manager GetSecretValue, PutSecretValue, TagResource,
UpdateSecretVersionStage.

The document is composed from a template, in which ``{{generated KEY}}`` stands for a value that is in the secret
already.  Where ``version`` is given, that earlier version is made the current one again and nothing is composed.
Planning compares a fingerprint of the template (which holds nothing secret) and the id of the version it was
written as, both kept as tags; a value changed by hand has another version and is noticed, without ever being read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks
from orchestrator.problems import Problems
from orchestrator.resources import Aws
from orchestrator.steps import Call, Compute, Steps, call
from orchestrator.values import Unknown, Value, WriteOnly, is_known
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"secretsmanager_secret", "rds_instance"})
ARN = None

GONE = ("ResourceNotFoundException",)
TAG_FINGERPRINT = "orchestrator:fingerprint"
TAG_VERSION = "orchestrator:version"
BY_HAND = "changed by hand"

_PLACEHOLDER = re.compile(r"\{\{generated ([^{}]+)\}\}")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """The fingerprint stands for the template; it is unknown while a part of the template is."""
    if "template" not in spec:
        return spec
    given = spec["template"]
    template = given.value if isinstance(given, WriteOnly) else given
    pinned = {"version": spec["version"]} if "version" in spec else {}
    return {"template": WriteOnly(template), "fingerprint": fingerprint(template), **pinned}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """The secret's own DescribeSecret tells all."""
    answer = aws.get("secretsmanager", "describe_secret", SecretId=name, missing=GONE)
    if answer is None or answer.get("DeletedDate"):
        return None
    tags = mapping(answer.get("Tags"))
    version = _current(answer.get("VersionIdsToStages"))
    written = tags.get(TAG_FINGERPRINT)
    touched = written is not None and version != tags.get(TAG_VERSION)
    return Live(
        {"fingerprint": BY_HAND if touched else written, "version": version},
        {"fingerprint": written, "version": version},
        status=BY_HAND if touched else "",
        **marks(tags),
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Compose, write, and only then say so."""
    secret = {"SecretId": name}
    current = yield Call("secretsmanager", "get_secret_value", secret, ok=GONE, sensitive=True)
    document = yield Compute("secret document", compose, (current, spec["template"]))
    written = yield Call("secretsmanager", "put_secret_value", {**secret, "SecretString": document})
    tags = [{"Key": TAG_FINGERPRINT, "Value": spec["fingerprint"]}, {"Key": TAG_VERSION, "Value": written["VersionId"]}]
    yield Call("secretsmanager", "tag_resource", {**secret, "Tags": tags})
    return {"fingerprint": spec["fingerprint"], "version": written["VersionId"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """The same again: the generated values are taken over from the version before."""
    if "version" in spec:
        return (yield from _return(name, spec, live))
    return (yield from create(scope, name, spec))


def _return(name: str, spec: Mapping[str, Value], live: Live) -> Steps:
    """Make an earlier version the current one; no value is read or written."""
    version, current = spec["version"], live.outputs["version"]
    if version != current:
        move = {"VersionStage": "AWSCURRENT", "MoveToVersionId": version, "RemoveFromVersionId": current}
        yield call("secretsmanager", "update_secret_version_stage", SecretId=name, **move)
    tags = [{"Key": TAG_FINGERPRINT, "Value": spec["fingerprint"]}, {"Key": TAG_VERSION, "Value": version}]
    yield call("secretsmanager", "tag_resource", SecretId=name, Tags=tags)
    return {"fingerprint": spec["fingerprint"], "version": version}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """It goes with its secret."""
    yield from ()
    return {}


def fingerprint(template: Mapping[str, Value]) -> Value:
    """A short hash of a template, or Unknown while a part of it is."""
    if not is_known(template):
        return Unknown("fingerprint")
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def compose(current: Mapping[str, Any], template: Mapping[str, str]) -> str:
    """The document as JSON text: the template with values from the ``current`` version put in.

    A key with ``:`` stands there under a name with ``__`` too, for Secrets Manager's ``arn:json-key:...`` references
    cannot name it; .NET takes both for the same setting.  Raises Problems when a value is missing.
    """
    known = _parsed(current)
    document = {key: _filled(text, known) for key, text in template.items()}
    return json.dumps({**document, **{key.replace(":", "__"): text for key, text in document.items()}}, sort_keys=True)


def _parsed(current: Mapping[str, Any]) -> dict[str, Any]:
    try:
        document = json.loads(current.get("SecretString") or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _filled(text: str, known: Mapping[str, Any]) -> str:
    missing = sorted(set(_PLACEHOLDER.findall(text)) - set(known))
    if missing:
        message = f"the secret holds no value for {', '.join(missing)}"
        raise Problems.one(message, hint=f"remove its tag `orchestrator:generated:{missing[0]}` and apply again")
    return _PLACEHOLDER.sub(lambda match: str(known[match[1]]), text)


def _current(versions: Mapping[str, list[str]] | None) -> str | None:
    return next((version for version, stages in (versions or {}).items() if "AWSCURRENT" in stages), None)
