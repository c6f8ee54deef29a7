"""Read the settings of the service from environment variables or from one JSON secret in Secrets Manager.

The key ``State:Database`` of the secret is the same as the variable ``State__Database``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import msgspec

from orchestrator.problems import Problems
from orchestrator.quantities import parse_count
from orchestrator.state.server.client_address import parse_trusted_proxies

DEFAULT_DATABASE_URL = "sqlite:///orchestrator-state.db"
SECRET_ARN_VARIABLE = "STATE__SECRET"  # noqa: S105 - the name of a variable
REGION_VARIABLE = "AWS_REGION"


def _setting(variable: str, default: str = "") -> str:
    return field(default=default, repr="secret" not in variable.lower(), metadata={"name": variable})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings; "" means not set.  ``host`` and ``port`` are the address to listen on.

    ``project`` is the only one that workflows write to; "" is every project of the repository.  ``trusted_proxies``
    are those whose ``X-Forwarded-For`` is believed.  ``webhook_loopback``: whether webhooks may go to this machine.
    """

    database: str = field(default=DEFAULT_DATABASE_URL, repr=False, metadata={"name": "State__Database"})
    public_url: str = _setting("State__PublicUrl")
    webhook_url: str = field(default="", repr=False, metadata={"name": "State__WebhookUrl"})
    webhook_secret: str = _setting("State__WebhookSecret")
    webhook_loopback: str = _setting("State__WebhookLoopback")
    slack_url: str = field(default="", repr=False, metadata={"name": "State__SlackUrl"})
    proxy_secret: str = _setting("State__ProxySecret")
    trusted_proxies: str = _setting("State__TrustedProxies")
    repository: str = _setting("GitHub__Repository")
    repository_id: str = _setting("GitHub__RepositoryId")
    branch: str = _setting("GitHub__Branch", "main")
    project: str = _setting("GitHub__Project")
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
        """Whether people sign in with GitHub."""
        return bool(self.client_id and self.client_secret and self.repository)

    @property
    def is_authentication_required(self) -> bool:
        """Whether reading requires authentication."""
        return self.is_sign_in_enabled or bool(self.proxy_secret)

    @property
    def is_loopback(self) -> bool:
        """Whether the service listens on a loopback address only."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_anonymous_allowed(self) -> bool:
        """Whether reading is open without authentication, which is allowed on loopback only."""
        return self.is_loopback and not self.is_authentication_required

    @property
    def is_secure(self) -> bool:
        """Whether browsers use HTTPS, so that cookies can be marked Secure."""
        return self.public_url.startswith("https://")


def build_settings(
    environ: Mapping[str, str], secret: Mapping[str, str] | None = None, **overrides: object
) -> Settings:
    """Build the settings; ``overrides`` take precedence over the environment, the environment over the secret.

    Raises Problems if a setting is invalid, or the service would be reachable from other machines without
    authentication.
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
    parse_trusted_proxies(settings.trusted_proxies)
    if not settings.is_loopback and not settings.is_authentication_required:
        raise Problems.from_message(
            f"no authentication is configured, and {settings.host} is reachable from other machines",
            hint="set GitHub__ClientId, GitHub__ClientSecret and GitHub__Repository, or State__ProxySecret, "
            "or set State__Host=127.0.0.1",
        )
    return settings


def parse_secret(document: str) -> Mapping[str, str]:
    """Return the keys and values of a JSON secret.

    Raises Problems if it is malformed; they never quote the secret.
    """
    try:
        return msgspec.json.decode(document, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problems.from_message(
            "the secret is not a JSON object of strings", hint='store it as {"State:Database": "..."}'
        ) from None


def _parse_port(text: str) -> int:
    port = parse_count(text)
    if port is None or not 0 < port < 65536:
        raise Problems.from_message(
            f"State__Port: {text!r} is not a port number", hint="use a number from 1 to 65535, e.g. State__Port=8420"
        )
    return port
