"""What the service is told: from the environment, or from one JSON secret in Secrets Manager.

A secret's keys are written ``State:Database``; they mean what the variable ``State__Database`` means.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import msgspec

from orchestrator.problems import Problems

DEFAULT_DATABASE_URL = "sqlite:///orchestrator-state.db"
SECRET_ARN_VARIABLE = "STATE__SECRET"  # noqa: S105 - the name of a variable
REGION_VARIABLE = "AWS_REGION"


def _setting(variable: str, default: str = "") -> str:
    return field(default=default, repr="secret" not in variable.lower(), metadata={"name": variable})


@dataclass(frozen=True, slots=True)
class Settings:
    """Each is a word; "" means it is not set.  ``host`` and ``port`` say where to listen."""

    database: str = field(default=DEFAULT_DATABASE_URL, repr=False, metadata={"name": "State__Database"})
    public_url: str = _setting("State__PublicUrl")
    webhook_url: str = field(default="", repr=False, metadata={"name": "State__WebhookUrl"})
    webhook_secret: str = _setting("State__WebhookSecret")
    slack_url: str = field(default="", repr=False, metadata={"name": "State__SlackUrl"})
    proxy_secret: str = _setting("State__ProxySecret")
    repository: str = _setting("GitHub__Repository")
    repository_id: str = _setting("GitHub__RepositoryId")
    branch: str = _setting("GitHub__Branch", "main")
    audience: str = _setting("GitHub__Audience", "orchestrator-state")
    issuer: str = _setting("GitHub__Issuer", "https://token.actions.githubusercontent.com")
    client_id: str = _setting("GitHub__ClientId")
    client_secret: str = _setting("GitHub__ClientSecret")
    github_url: str = _setting("GitHub__Url", "https://github.com")
    models: str = _setting("State__Models")
    github_api: str = _setting("GitHub__Api", "https://api.github.com")
    host: str = _setting("State__Host", "127.0.0.1")
    port: int = 8420

    @property
    def is_sign_in_enabled(self) -> bool:
        """Whether GitHub says who somebody is."""
        return bool(self.client_id and self.client_secret and self.repository)

    @property
    def is_authentication_required(self) -> bool:
        """Whether somebody has to say who they are to read."""
        return self.is_sign_in_enabled or bool(self.proxy_secret)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_anonymous_allowed(self) -> bool:
        """Whether everybody reads who reaches it, which nobody but this machine does."""
        return self.is_loopback and not self.is_authentication_required

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by HTTPS, so that cookies may be kept to that."""
        return self.public_url.startswith("https://")


def build_settings(
    environ: Mapping[str, str], secret: Mapping[str, str] | None = None, **overrides: object
) -> Settings:
    """The settings; what is ``given`` by hand goes before the environment, and that before the secret.

    Raises Problems when the service would be open to strangers.
    """
    variables = {name.replace(":", "__").upper(): value for name, value in (secret or {}).items()}
    variables |= {name.upper(): value for name, value in environ.items()}
    values: dict[str, object] = {}
    for setting in fields(Settings):
        if setting.name != "port" and (value := variables.get(setting.metadata["name"].upper())):
            values[setting.name] = value
    if port := variables.get("STATE__PORT", variables.get("PORT", "")):
        values["port"] = _parse_port(port)
    settings = Settings(**{**values, **{name: value for name, value in overrides.items() if value}})  # type: ignore[arg-type]
    if not settings.is_loopback and not settings.is_authentication_required:
        raise Problems.from_message(
            f"{settings.host} can be reached by others, and nothing says who may read",
            hint="set GitHub__ClientId, GitHub__ClientSecret and GitHub__Repository, or State__ProxySecret, "
            "or listen on 127.0.0.1",
        )
    return settings


def parse_secret(document: str) -> Mapping[str, str]:
    """A JSON secret's keys and values.

    Raises Problems, which never quote it.
    """
    try:
        return msgspec.json.decode(document, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problems.from_message(
            "the secret is no JSON object of texts", hint='write {"State:Database": "..."}'
        ) from None


def _parse_port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise Problems.from_message("the port is none", hint="State__Port=8420")
    return int(text)
