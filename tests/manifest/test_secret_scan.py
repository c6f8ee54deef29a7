"""Secrets in plain text are found, and what only looks a little like one is let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.manifest import load, secret_scan

SECRETS = {
    "AKIAIOSFODNN7EXAMPLE": "an AWS access key",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY": "a random string",
    "ghp_" + "a1B2" * 9: "a GitHub token",
    "github_pat_" + "A1b2" * 10: "a GitHub token",
    "xoxb-123456789012-abcdefABCDEF": "a Slack token",
    "https://hooks.slack.com/services/T000/B000/abcd": "a Slack webhook",
    "sk_live_" + "a1B2" * 6: "a Stripe key",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk": "a private key",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzaG9wIn0.c2lnbmF0dXJl": "a JSON web token",
    "postgres://shop:hunter2@db.internal/shop": "a connection string",
    "Server=db;User Id=shop;Password=hunter2;": "a connection string",
    "Authorization: Bearer abcdef0123456789": "a bearer token",
    "q7Zp2Xv9Lk4Tn8Rw3Yb6Mc1D": "a random string",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08": "a random string",
}

HARMLESS = [
    "joiabagur-files-prod",
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api@sha256:" + "5f70bf18" * 8,
    "arn:aws:kms:eu-west-1:123456789012:key/1a2b3c4d-1a2b-3c4d-5e6f-1a2b3c4d5e6f",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbC1d2",
    "1a2b3c4d-1a2b-3c4d-5e6f-1a2b3c4d5e6f",
    "https://d111111abcdef8.cloudfront.net/ml-models/v2/model.json",
    "postgres://db.internal:5432/shop",
    "Host=${database.main.host};Password=${database.main.password}",
    "https://user:${secret.app.value}@example.com",
    "2f4e8a1c9b7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f",
    "JoiabagurProductPhotosProductionEnvironment2026",
    "public.ecr.aws/nginx/nginx:1.27.3-alpine3.20-perl",
    "default-src 'self'; script-src 'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='",
    "com.joiabagur.products.infrastructure.PhotoStorageService1",
    "Tue, 23 Nov 2026 02:10:00 GMT",
    "max-age=31536000; includeSubDomains; preload",
    "vpc-0a1b2c3d4e5f60718",
    "/home/app/.aspnet/https/certificate.pfx",
]


@pytest.mark.parametrize(("text", "kind"), SECRETS.items(), ids=lambda text: text[:16])
def test_the_shape_gives_it_away(text: str, kind: str) -> None:
    """Keys of known services, passwords in addresses, and random strings, under whatever name."""
    found = secret_scan.detect_secret_type(("spec", "environment", "SETTING"), text)

    assert found is not None
    assert found.startswith(kind)


@pytest.mark.parametrize("text", HARMLESS, ids=lambda text: text[:30])
def test_what_is_no_secret(text: str) -> None:
    """Digests, ARNs, ids, addresses and long names are none."""
    assert secret_scan.detect_secret_type(("spec", "environment", "SETTING"), text) is None


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "dbPassword", "Jwt:SecretKey", "GITHUB_TOKEN", "apiKey", "client-secret", "API_KEY"],
)
def test_the_key_gives_it_away(key: str) -> None:
    """A plain value under a key that names a secret."""
    assert secret_scan.detect_secret_type(("spec", "environment", key), "hunter2") == "a secret (according to its key)"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PASSWORD_MIN_LENGTH", "8"),
        ("TOKEN_LIFETIME", "3600"),
        ("maxTokens", "4096"),
        ("KEY_PREFIX", "shop"),
        ("secretsMode", "strict"),
        ("secret", "secret.app"),
        ("JWT_SECRET", "secret.app[Jwt:SecretKey]"),
        ("password", "${secret.app.password}"),
        ("API_SECRET", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app"),
        ("encryptionKey", "alias/shop"),
        ("USE_TOKEN", "true"),
        ("password", ""),
        ("author", "Secretary"),
    ],
)
def test_what_only_speaks_of_secrets(key: str, value: str) -> None:
    """Limits, names, references and switches are none."""
    assert secret_scan.detect_secret_type(("spec", key), value) is None


def test_it_is_never_repeated(tmp_path: Path) -> None:
    """The problem says where and what kind, and a comment on the line lifts it."""
    head = "apiVersion: orchestrator/v1\nkind: ContainerService\nmetadata: {name: api}\nspec:\n  environment:\n"
    lines = "    PASSWORD: hunter2\n    PIN_TOKEN: hunter3 # orchestrator: not-a-secret\n"
    (tmp_path / "api.yaml").write_text(head + lines)
    document = load.load(tmp_path).documents[0]
    found = [str(problem) for problem in secret_scan.find_secrets(document)]

    assert len(found) == 1
    assert "api.yaml:6:15: spec.environment.PASSWORD contains" in found[0]
    assert "hunter2" not in found[0]
