"""CloudFront's cache, origin request and response headers policies: AWS's own listed, custom ones kept.

The three kinds have the same operations under their own names, so one implementation serves them all.
"""

from __future__ import annotations

import re
import uuid
from functools import partial

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Handler, Service, World
from orchestrator.emulator.services.cloudfront.entity import Entity, check_quantities, listing, without_empty_items
from orchestrator.emulator.services.cloudfront.managed_policies import MANAGED

_ASKED = re.compile(r"(Create|Get|Update|Delete|List)((?:Cache|OriginRequest|ResponseHeaders)Polic(?:y|ies))(Config)?")


class Policies(Service):
    """All three kinds of policy.  Names are unique; one that a distribution uses cannot be deleted."""

    service = "cloudfront"
    complete = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._policies: dict[str, dict[str, Entity]] = {
            kind: {key: Entity(key, config) for key, config in managed.items()} for kind, managed in MANAGED.items()
        }

    def handler(self, operation: str) -> Handler | None:
        """The method for an operation of any of the kinds."""
        asked = _ASKED.fullmatch(operation)
        if asked is None:
            return super().handler(operation)
        verb, noun, config = asked.groups()
        kind = noun.replace("Policies", "Policy")
        methods = {"Create": self._create, "Update": self._update, "Delete": self._delete, "List": self._list}
        return partial(methods[verb], kind) if verb != "Get" else partial(self._get_policy, kind, bool(config))

    def _policy(self, kind: str, key: str) -> Entity:
        found = self._policies[kind].get(key)
        if found is None:
            raise AwsError(f"NoSuch{kind}", f"The {kind} {key} does not exist.", 404)
        return found

    def _policy_users(self, kind: str, key: str) -> bool:
        """Whether a distribution uses a policy; the distributions say."""
        return False

    def _checked(self, kind: str, params: Params, own: str = "") -> Params:
        config: Params = without_empty_items(params[f"{kind}Config"])
        check_quantities(config)
        if any(each.config["Name"] == config["Name"] and key != own for key, each in self._policies[kind].items()):
            raise AwsError(f"{kind}AlreadyExists", f"A {kind} with the name {config['Name']} already exists.", 409)
        config.setdefault("Comment", "")
        return config

    def _create(self, kind: str, params: Params, context: Context) -> Params:
        made = Entity(str(uuid.uuid4()), self._checked(kind, params))
        self._policies[kind][made.id] = made
        return {**_answer(kind, made), "Location": f"https://cloudfront.amazonaws.com/2020-05-31/{kind}/{made.id}"}

    def _get_policy(self, kind: str, config: bool, params: Params, context: Context) -> Params:
        found = self._policy(kind, params["Id"])
        return {f"{kind}Config": found.config, "ETag": found.etag} if config else _answer(kind, found)

    def _update(self, kind: str, params: Params, context: Context) -> Params:
        found = self._own(kind, params)
        found.replace(self._checked(kind, params, found.id))
        return _answer(kind, found)

    def _delete(self, kind: str, params: Params, context: Context) -> Params:
        found = self._own(kind, params)
        if self._policy_users(kind, found.id):
            raise AwsError(f"{kind}InUse", f"The {kind} is attached to a distribution.", 409)
        del self._policies[kind][found.id]
        return {}

    def _own(self, kind: str, params: Params) -> Entity:
        """A custom policy whose ETag matches."""
        found = self._policy(kind, params["Id"])
        if found.id in MANAGED[kind]:
            raise AwsError("IllegalUpdate", "A managed policy cannot be changed or deleted.", 400)
        found.match(params.get("IfMatch"))
        return found

    def _list(self, kind: str, params: Params, context: Context) -> Params:
        wanted = params.get("Type")
        found = [
            {"Type": "managed" if key in MANAGED[kind] else "custom", kind: _shape(kind, each)}
            for key, each in self._policies[kind].items()
        ]
        shown = [each for each in found if wanted in (None, each["Type"])]
        return {f"{kind}List": listing(shown, params)}


def _shape(kind: str, policy: Entity) -> Params:
    return {"Id": policy.id, "LastModifiedTime": policy.modified, f"{kind}Config": policy.config}


def _answer(kind: str, policy: Entity) -> Params:
    return {kind: _shape(kind, policy), "ETag": policy.etag}
