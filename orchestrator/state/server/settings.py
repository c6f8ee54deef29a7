"""What the service is told: from the environment, or from one JSON secret in Secrets Manager.

A secret's keys are written ``State:Database``; they mean what the variable ``State__Database`` means.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import msgspec

from orchestrator.problems import Problems

DEFAULT = "sqlite:///orchestrator-state.db"
SECRET = "STATE__SECRET"  # noqa: S105 - the name of a variable
REGION = "AWS_REGION"


def _named(name: str, default: str = "") -> str:
    return field(default=default, repr="secret" not in name.lower(), metadata={"name": name})


@dataclass(frozen=True, slots=True)
class Settings:
    """Each is a word; "" means it is not set.  ``host`` and ``port`` say where to listen."""

    database: str = field(default=DEFAULT, repr=False, metadata={"name": "State__Database"})
    public_url: str = _named("State__PublicUrl")
    webhook_url: str = field(default="", repr=False, metadata={"name": "State__WebhookUrl"})
    webhook_secret: str = _named("State__WebhookSecret")
    slack_url: str = field(default="", repr=False, metadata={"name": "State__SlackUrl"})
    proxy_secret: str = _named("State__ProxySecret")
    repository: str = _named("GitHub__Repository")
    repository_id: str = _named("GitHub__RepositoryId")
    branch: str = _named("GitHub__Branch", "main")
    audience: str = _named("GitHub__Audience", "orchestrator-state")
    issuer: str = _named("GitHub__Issuer", "https://token.actions.githubusercontent.com")
    client_id: str = _named("GitHub__ClientId")
    client_secret: str = _named("GitHub__ClientSecret")
    github_url: str = _named("GitHub__Url", "https://github.com")
    models: str = _named("State__Models")
    github_api: str = _named("GitHub__Api", "https://api.github.com")
    host: str = _named("State__Host", "127.0.0.1")
    port: int = 8420

    @property
    def signs_people_in(self) -> bool:
        """Whether GitHub says who somebody is."""
        return bool(self.client_id and self.client_secret and self.repository)

    @property
    def is_guarded(self) -> bool:
        """Whether somebody has to say who they are to read."""
        return self.signs_people_in or bool(self.proxy_secret)

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_open(self) -> bool:
        """Whether everybody reads who reaches it, which nobody but this machine does."""
        return self.is_local and not self.is_guarded

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by HTTPS, so that cookies may be kept to that."""
        return self.public_url.startswith("https://")


def gather(environ: Mapping[str, str], secret: Mapping[str, str] | None = None, **given: object) -> Settings:
    """The settings; what is ``given`` by hand goes before the environment, and that before the secret.

    Raises Problems when the service would be open to strangers.
    """
    known = {name.replace(":", "__").upper(): value for name, value in (secret or {}).items()}
    known |= {name.upper(): value for name, value in environ.items()}
    found: dict[str, object] = {}
    for one in fields(Settings):
        if one.name != "port" and (value := known.get(one.metadata["name"].upper())):
            found[one.name] = value
    if port := known.get("STATE__PORT", known.get("PORT", "")):
        found["port"] = _port(port)
    settings = Settings(**{**found, **{name: value for name, value in given.items() if value}})  # type: ignore[arg-type]
    if not settings.is_local and not settings.is_guarded:
        raise Problems.one(
            f"{settings.host} can be reached by others, and nothing says who may read",
            hint="set GitHub__ClientId, GitHub__ClientSecret and GitHub__Repository, or State__ProxySecret, "
            "or listen on 127.0.0.1",
        )
    return settings


def parsed(document: str) -> Mapping[str, str]:
    """A JSON secret's keys and values.

    Raises Problems, which never quote it.
    """
    try:
        return msgspec.json.decode(document, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problems.one("the secret is no JSON object of texts", hint='write {"State:Database": "..."}') from None


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise Problems.one("the port is none", hint="State__Port=8420")
    return int(text)
