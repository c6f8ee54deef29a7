"""Store, list and remove the external values of a Secret: a Stripe key, an SMTP password, a certificate.

API: Secrets Manager DescribeSecret, GetSecretValue, CreateSecret, PutSecretValue, TagResource, UntagResource.  A value
is read from a prompt, standard input or a file, never from the command line, and never printed.  Who set it and when is
kept in a tag, so that planning needs no value.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.secret_rotation import build_version_id, current_version, find_rotation
from orchestrator.vocabulary import Component, DesiredState, Resource

if TYPE_CHECKING:
    from orchestrator.aws import Clients

MAX_SECRET_BYTES = 65_536
"""Maximum size of a secret's value (CreateSecret)."""
NOT_FOUND_CODE = "ResourceNotFoundException"
_TAG_UNSAFE = re.compile(r"[^\w .:/=+@-]")


class StoredValue(Struct, frozen=True):
    """One key of a secret: where its value comes from, and for external values when and by whom it was set."""

    key: str
    source: str
    set_by: str = ""


RESTORED_STAGE = "RESTORED"
"""Staging label of the version that the last ``restore secret`` wrote."""


class SecretVersion(Struct, frozen=True):
    """One version of a secret's document; AWS removes the oldest of more than about a hundred.

    ``is_previous``: it was in use before today's, according to AWS's label AWSPREVIOUS.  ``is_restored``: it was
    written by ``restore secret``.
    """

    identifier: str
    created: datetime
    is_current: bool
    is_previous: bool
    is_restored: bool = False


class ExternalValues:
    """The values of one Secret of one environment."""

    def __init__(self, clients: Clients, desired: DesiredState, name: str) -> None:
        _check_account(clients, desired.scope.account)
        self._clients = clients
        self._component = _find_component(desired, name)
        self._resource = _find_resource(desired, name)
        self._owner = desired.scope.owner

    @property
    def declared(self) -> Mapping[str, Mapping[str, Any]]:
        """The external values that the manifest declares, by key."""
        from orchestrator.components import secret

        return secret.external_keys(self._component)

    def require_declared(self, key: str) -> Mapping[str, Any]:
        """Return the declaration of an external value.  Raises Problems if the manifest has none."""
        if key not in self.declared:
            names = ", ".join(self.declared) or "none"
            raise Problems.from_message(
                f"{self._component.handle} has no external value {key}",
                hint=f"add `{key}: {{external: true}}` to its `data`; external values: {names}",
            )
        return self.declared[key]

    def store(self, key: str, value: str, actor: str) -> None:
        """Store ``value``, creating the secret before its first deploy.

        Raises Problems if the value does not fit its pattern or the secret is somebody else's, and AwsError.
        """
        pattern = self.require_declared(key).get("pattern")
        if not value:
            raise Problems.from_message(f"the value of {key} is empty", hint="nothing was changed")
        if pattern and not re.fullmatch(pattern, value):
            message = f"the value of {key} does not match the pattern {pattern}"
            raise Problems.from_message(message, hint="check the value; nothing was changed")
        description = self._describe()
        document = self._read_document() if description is not None else {}
        document |= {key: value, key.replace(":", "__"): value}
        tag = {"Key": f"orchestrator:external:{key}", "Value": _describe_origin(actor)}
        if description is None:
            self._create(document, tag)
        else:
            self._write(document, [tag])

    def remove(self, key: str) -> bool:
        """Remove the value of a key and return whether there was one.  Raises Problems and AwsError."""
        if self._describe() is None:
            return False
        document = self._read_document()
        names = {key, key.replace(":", "__")} & document.keys()
        if names:
            self._write({name: value for name, value in document.items() if name not in names}, [])
        request = {"SecretId": self._resource.physical, "TagKeys": [f"orchestrator:external:{key}"]}
        self._clients.call("secretsmanager", "untag_resource", request)
        return bool(names)

    def list_values(self) -> Iterator[StoredValue]:
        """Yield every key that the manifest declares, then those that only AWS has; never a value.  Raises AwsError."""
        description = self._describe()
        tags = {tag["Key"]: tag["Value"] for tag in (description or {}).get("Tags", ())}
        document = self._read_document() if description is not None else {}
        data = self._component.spec["data"]
        for key, value in data.items():
            source = next(iter(value.keys() & {"generate", "external"})) if isinstance(value, Mapping) else "manifest"
            set_by = tags.get(f"orchestrator:external:{key}", "missing") if source == "external" else ""
            yield StoredValue(key, {"generate": "generated"}.get(source, source), set_by)
        declared = {*data, *(key.replace(":", "__") for key in data)}
        for key in sorted(document.keys() - declared):
            if not key.startswith(("Database:", "Database__")):
                yield StoredValue(key, "not in the manifest")

    def list_versions(self) -> tuple[SecretVersion, ...]:
        """Return the versions that AWS still keeps, the newest first, none without a secret.  Raises AwsError."""
        from orchestrator.aws import Reader

        if self._describe() is None:
            return ()
        versions = Reader(self._clients).all(
            "secretsmanager",
            "list_secret_version_ids",
            "Versions",
            SecretId=self._resource.physical,
            IncludeDeprecated=True,
        )
        parsed_versions = (
            SecretVersion(
                item["VersionId"],
                item["CreatedDate"],
                "AWSCURRENT" in item.get("VersionStages", ()),
                "AWSPREVIOUS" in item.get("VersionStages", ()),
                RESTORED_STAGE in item.get("VersionStages", ()),
            )
            for item in versions
        )
        order = lambda item: (item.is_current, item.is_previous, item.created)  # noqa: E731
        return tuple(sorted(parsed_versions, key=order, reverse=True))

    def cancel_deletion(self) -> bool:
        """Bring back the secret if it is scheduled for deletion, and return whether it was.  Raises AwsError."""
        if not self.is_deleted:
            return False
        self._clients.call("secretsmanager", "restore_secret", {"SecretId": self._resource.physical})
        return True

    @property
    def is_deleted(self) -> bool:
        """Whether the secret is scheduled for deletion."""
        return bool((self._describe() or {}).get("DeletedDate"))

    def find_lost_values(self, version: str, keys: tuple[str, ...]) -> dict[str, str]:
        """Return what an earlier version has instead of today's values, by key: only ``keys``, if there are any.

        What the manifest or a database says is not in it: an old password would lock the application out.
        Raises Problems if the version is no JSON object or has none of the keys, and AwsError.
        """
        earlier, current = self._read_document(version), self._read_document()
        data = self._component.spec["data"]
        fixed = {key for key, value in data.items() if not isinstance(value, Mapping)}
        fixed |= {key.replace(":", "__") for key in fixed}
        fixed |= {key for key in (*earlier, *current) if key.startswith(("Database:", "Database__"))}
        if unknown := sorted(key for key in keys if key not in earlier or key in fixed):
            hint = "only values that are generated, external or set manually can be restored"
            raise Problems.from_message(f"version {version} has no {', '.join(unknown)} to restore", hint=hint)
        named = {*keys, *(key.replace(":", "__") for key in keys)}
        return {
            key: value
            for key, value in earlier.items()
            if current.get(key) != value and key not in fixed and (not keys or key in named)
        }

    def replace_values(self, values: Mapping[str, str], actor: str) -> None:
        """Write values over today's, as a new version labelled as restored.  Raises Problems and AwsError."""
        tags: list[Mapping[str, str]] = [
            {"Key": f"orchestrator:external:{key}", "Value": _describe_origin(actor)}
            for key in values
            if key in self.declared
        ]
        self._write({**self._read_document(), **values}, tags, {"VersionStages": ["AWSCURRENT", RESTORED_STAGE]})

    def _keep_rotation(self) -> Mapping[str, str]:
        """Return the id of the next version if the generated values were rotated: it names the rotation."""
        versions = (self._describe() or {}).get("VersionIdsToStages")
        rotation = find_rotation(current_version(versions))
        return {"ClientRequestToken": build_version_id(secrets.token_hex(16), rotation)} if rotation else {}

    def _describe(self) -> Mapping[str, Any] | None:
        from orchestrator.aws.errors import AwsError

        try:
            response = self._clients.call("secretsmanager", "describe_secret", {"SecretId": self._resource.physical})
        except AwsError as error:
            if error.code == NOT_FOUND_CODE:
                return None
            raise
        self._check_owner(response)
        return response  # type: ignore[no-any-return]

    def _check_owner(self, response: Mapping[str, Any]) -> None:
        from orchestrator.ownership_tags import from_aws_tags
        from orchestrator.vocabulary import parse_owner

        owner = parse_owner(from_aws_tags(response.get("Tags")))
        if owner not in ({self._owner, None} if self._component.adopt else {self._owner}):
            raise Problems.from_message(
                f"{self._resource.physical} {f'belongs to {owner}' if owner else 'is not managed by orchestrator'}",
                hint="choose another name, or adopt it with `metadata.adopt: true`; nothing was changed",
            )

    def _read_document(self, version: str = "") -> dict[str, Any]:
        from orchestrator.aws.errors import AwsError

        request = {"SecretId": self._resource.physical, **({"VersionId": version} if version else {})}
        try:
            text = self._clients.call("secretsmanager", "get_secret_value", request).get("SecretString")
            document = json.loads(text or "null")
        except AwsError as error:
            if error.code == NOT_FOUND_CODE and not version:  # it has no value yet
                return {}
            raise
        except ValueError:
            document = None
        if not isinstance(document, dict):
            message = (
                f"the value of {self._resource.physical} is not a JSON object, and writing a key would overwrite it"
            )
            raise Problems.from_message(message, hint="nothing was changed")
        return document

    def _create(self, document: Mapping[str, Any], tag: Mapping[str, str]) -> None:
        spec = self._resource.spec
        tags = [*({"Key": key, "Value": value} for key, value in spec["tags"].items()), tag]
        key_field = {"KmsKeyId": spec["kms_key"]} if spec.get("kms_key") else {}
        request = {"Name": self._resource.physical, "Description": spec["description"], "Tags": tags, **key_field}
        self._clients.call("secretsmanager", "create_secret", {**request, "SecretString": _dump(document)})

    def _write(
        self, document: Mapping[str, Any], tags: list[Mapping[str, str]], more: Mapping[str, Any] | None = None
    ) -> None:
        """Write the document, and tag its version so that it does not count as changed manually, unless it was."""
        secret = {"SecretId": self._resource.physical}
        is_as_written = self._is_as_written()
        request = {**secret, "SecretString": _dump(document), **self._keep_rotation(), **(more or {})}
        response = self._clients.call("secretsmanager", "put_secret_value", request)
        version = [{"Key": "orchestrator:version", "Value": response["VersionId"]}] if is_as_written else []
        if version or tags:
            self._clients.call("secretsmanager", "tag_resource", {**secret, "Tags": [*version, *tags]})

    def _is_as_written(self) -> bool:
        """Return whether the version in use is the one that the orchestrator wrote: other keys may be somebody's."""
        description = self._describe() or {}
        written = {tag["Key"]: tag["Value"] for tag in description.get("Tags", ())}.get("orchestrator:version")
        stages = (description.get("VersionIdsToStages") or {}).get(written, ())
        return written is None or "AWSCURRENT" in stages


def _check_account(clients: Clients, expected: str) -> None:
    """Raise Problems if the credentials belong to another account than the manifests name."""
    account = clients.call("sts", "get_caller_identity", {})["Account"]
    if account != expected:
        message = f"the credentials belong to account {account}, but the manifests are for {expected}"
        raise Problems.from_message(message, hint="use a profile of that account; nothing was changed")


def _find_component(desired: DesiredState, name: str) -> Component:
    components = {item.name: item for item in desired.components if item.kind == "Secret"}
    handle = name.removeprefix("secret.")
    if handle not in components:
        hint = f"available: {', '.join(sorted(components)) or 'none'}"
        raise Problems.from_message(f"no manifest declares the Secret {handle}", hint=hint)
    return components[handle]


def _find_resource(desired: DesiredState, name: str) -> Resource:
    address = f"secretsmanager_secret.{name.removeprefix('secret.')}"
    return next(item for item in desired.resources if item.address == address)


def _describe_origin(actor: str) -> str:
    """Return the tag value: when a value was set, and by whom; AWS allows letters, digits, spaces and _.:/=+-@."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{now} by {_TAG_UNSAFE.sub('', actor) or 'unknown'}"[:256]


def _dump(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True)
    if len(text.encode()) > MAX_SECRET_BYTES:
        message = f"the secret would have {len(text.encode())} bytes; AWS allows {MAX_SECRET_BYTES}"
        raise Problems.from_message(message, hint="move some values to another Secret; nothing was changed")
    return text
