"""What a Secret becomes, and how a database's password gets into it and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator import components
from orchestrator.manifest import check, expand, load
from orchestrator.values import Ref, TemplateString
from tests.components import manifest_stacks
from tests.components.manifest_stacks import make_document

DATABASE = make_document("Database", "main", 'version: "16"\ndatabase: shop\nusername: shop\npool: { min: 2, max: 8 }')
APP = """
name: shop-${project.environment}
data:
  ConnectionStrings:Default: ${database.main.connectionString}
  Url: ${database.main.url}
  Jwt:SecretKey: { generate: { length: 64 } }
  Jwt:Issuer: Shop
  Retries: 3
  Verbose: false
"""
HOST = Ref("rds_instance.main", "host")


def spec(folder: Path, address: str, *documents: str) -> Mapping[str, Any]:
    return manifest_stacks.load_resources(folder, *documents)[address].spec


def test_the_document_holds_values_parts_and_what_stands_for_generated_ones(tmp_path: Path) -> None:
    """Everything is text, and a password is a placeholder until the moment it is written."""
    template = spec(tmp_path, "secretsmanager_value.app", DATABASE, make_document("Secret", "app", APP))["template"]
    password = "{{generated Database:main:Password}}"
    rest = ";SSL Mode=Require;Minimum Pool Size=2;Maximum Pool Size=8"

    assert template == {
        "ConnectionStrings:Default": TemplateString(
            ("Host=", HOST, ";Port=5432;Database=shop;Username=shop;Password=", password, rest)
        ),
        "Url": TemplateString(("postgresql://shop:", password, "@", HOST, ":5432/shop?sslmode=require")),
        "Jwt:SecretKey": "{{generated Jwt:SecretKey}}",
        "Jwt:Issuer": "Shop",
        "Retries": "3",
        "Verbose": "false",
        "Database:main:Host": HOST,
        "Database:main:Port": "5432",
        "Database:main:Database": "shop",
        "Database:main:Username": "shop",
        "Database:main:Password": password,
    }


def test_the_password_is_generated_beside_what_the_manifest_asks_for(tmp_path: Path) -> None:
    """The database waits for the secret, and the document for the database: there is no circle."""
    made = manifest_stacks.load_desired(tmp_path, DATABASE, make_document("Secret", "app", APP)).resources
    by_address = {resource.address: resource for resource in made}
    order = list(by_address)

    secret = by_address["secretsmanager_secret.app"]
    assert secret.physical == "shop-prod"
    assert secret.spec["generate"] == {"Jwt:SecretKey": 64, "Database:main:Password": 32}
    assert by_address["rds_instance.main"].spec["credentials"] == {
        "managed": False,
        "secret": Ref("secretsmanager_secret.app", "arn"),
        "key": "Database:main:Password",
        "rotation": Ref("secretsmanager_secret.app", "rotation"),
    }
    places = [order.index(a) for a in ("secretsmanager_secret.app", "rds_instance.main", "secretsmanager_value.app")]
    assert places == sorted(places)


def test_a_secret_without_a_database_is_by_itself(tmp_path: Path) -> None:
    """Its name is made of project, environment and component."""
    made = manifest_stacks.load_resources(tmp_path, make_document("Secret", "keys", "data: { Key: { generate: {} } }"))

    assert list(made) == ["secretsmanager_secret.keys", "secretsmanager_value.keys"]
    assert made["secretsmanager_secret.keys"].physical == "shop-prod-keys"
    assert made["secretsmanager_secret.keys"].spec["generate"] == {"Key": 32}


def test_a_password_alone_can_be_named(tmp_path: Path) -> None:
    """Whoever composes another kind of connection string needs the parts only."""
    one = make_document("Secret", "app", 'data: { Dsn: "pg:${database.main.password}@${database.main.host}" }')
    template = spec(tmp_path, "secretsmanager_value.app", DATABASE, one)["template"]

    assert template["Dsn"] == TemplateString(("pg:", "{{generated Database:main:Password}}", "@", HOST))


def test_access_is_to_this_secret_whatever_aws_adds_to_its_name(tmp_path: Path) -> None:
    """Six characters are AWS's; the pattern stands for exactly those, and the key may be used."""
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    text = make_document("Secret", "app", f"name: shop\nkmsKey: {key}\ndata: {{ A: b }}")
    (tmp_path / "stack.yaml").write_text(f"{manifest_stacks.PROJECT}---\n{text}")
    allowed = expand.build_stack(check.check(load.load(tmp_path), "prod")).access_statements["secret.app"]

    assert [(each["Action"], each["Resource"]) for each in allowed] == [
        (
            ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-??????"],
        ),
        (["kms:Decrypt"], [key]),
    ]


@pytest.mark.parametrize("policy", ["retain", "delete"])
def test_the_secret_itself_says_whether_it_may_be_deleted(tmp_path: Path, policy: str) -> None:
    """The manifest's word outlives the manifest, as a tag."""
    one = make_document("Secret", "app", f"deletionPolicy: {policy}\ndata: {{ A: b }}")

    tags = spec(tmp_path, "secretsmanager_secret.app", one)["tags"]
    assert tags["orchestrator:deletion-policy"] == policy


MANY = ", ".join(f"K{number}: {{ generate: {{}} }}" for number in range(31))
BAD = {
    "one variable for two keys": ("data: { 'A:B': x, A__B: y }", "A__B and A:B become the same environment variable"),
    "a part that is written anyway": (
        "data: { Dsn: '${database.main.url}', 'Database:main:Host': x }",
        "Database:main:Host is reserved",
    ),
    "too many to declare by tags": (f"data: {{ {MANY} }}", "too many generated and external values: 31"),
    "a name like an ARN": ("name: shop-secret\ndata: { A: b }", "mistakes for the suffix of an ARN"),
    "a key that is none": ("data: { 'A B': x }", "invalid key `A B`"),
    "a value of nothing": ("data: { A: {} }", "an object with either `generate` or `external`"),
    "a value of two sources": (
        "data: { A: { generate: {}, external: true } }",
        "requires either `generate` or `external",
    ),
    "a description of nothing": (
        "data: { A: { generate: {}, description: x } }",
        "is only allowed for external values",
    ),
    "a pattern that is none": ('data: { A: { external: true, pattern: "(" } }', "is not a valid regular expression"),
    "a secret that is too short": ("data: { A: { generate: { length: 8 } } }", "16 to 1024 characters"),
}


@pytest.mark.parametrize(("text", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_secret_that_cannot_be(tmp_path: Path, text: str, sentence: str) -> None:
    """Told before anything is touched, in a sentence."""
    found = manifest_stacks.list_problems(tmp_path, DATABASE, make_document("Secret", "app", text))

    assert len(found) == 1
    assert sentence in found[0]


def test_one_password_is_kept_by_one_secret(tmp_path: Path) -> None:
    """Two would generate two."""
    one = "data: { Dsn: '${database.main.url}' }"
    found = manifest_stacks.list_problems(
        tmp_path, DATABASE, make_document("Secret", "app", one), make_document("Secret", "jobs", one)
    )

    assert found == ["secret.app already contains the password of database.main; only one Secret can contain it"]


def test_fingerprint_and_arn_are_known_to_others(tmp_path: Path) -> None:
    """A service restarts when the fingerprint changes."""
    (tmp_path / "stack.yaml").write_text(
        "---\n".join([manifest_stacks.PROJECT, make_document("Secret", "app", "data: { A: b }")])
    )
    stack = expand.build_stack(check.check(load.load(tmp_path), "prod"))

    assert components.exports(stack.components["secret.app"], stack.scope) == {
        "name": "shop-prod-app",
        "arn": Ref("secretsmanager_secret.app", "arn"),
        "fingerprint": Ref("secretsmanager_value.app", "fingerprint"),
    }


def test_connection_strings_verify_the_server_with_a_ca_file(tmp_path: Path) -> None:
    """In the words of Npgsql (SSL Mode, Root Certificate) and of libpq (sslmode, sslrootcert), as documented."""
    fields = 'version: "16"\ndatabase: shop\nusername: shop\ncaFile: /etc/ssl/rds.pem'
    database = make_document("Database", "main", fields)
    template = spec(tmp_path, "secretsmanager_value.app", database, make_document("Secret", "app", APP))["template"]

    assert ";SSL Mode=VerifyFull;Root Certificate=/etc/ssl/rds.pem;" in str(template["ConnectionStrings:Default"])
    assert str(template["Url"]).endswith("/shop?sslmode=verify-full&sslrootcert=/etc/ssl/rds.pem")
