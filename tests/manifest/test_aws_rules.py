"""Rules of AWS that `validate` knows, beside those of botocore's models.

What AWS refuses is refused where it is written.

Each rule names AWS's documentation, or the standard, and has manifests on both sides of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from botocore.session import Session

from orchestrator.components.cdn.countries import COUNTRY_CODES
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from tests.components.manifest_stacks import PROJECT, make_document

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/6f2d1e04-5b7a-4c3e-9d1f-8a2b3c4d5e6f"
KEY = "arn:aws:kms:{}:123456789012:key/6f2d1e04-5b7a-4c3e-9d1f-8a2b3c4d5e6f"
FILES = make_document("Bucket", "files", "name: shop-files")
IMAGE = f'image: {{prebuilt: "${{project.registry}}/api@sha256:{"5f" * 32}"}}'
TAGS = ", ".join(f"t{number}: x" for number in range(50))


def bucket(spec: str) -> str:
    return make_document("Bucket", "x", f"name: shop-x\n{spec}")


def cors(origin: str) -> str:
    return bucket(f"cors: [{{origins: ['{origin}'], methods: [GET]}}]")


def moves(*transitions: tuple[str, int], member: str = "transitions") -> str:
    listed = ", ".join(f"{{storageClass: {name}, afterDays: {days}}}" for name, days in transitions)
    return bucket(f"lifecycle: {{rules: [{{prefix: a/, {member}: [{listed}]}}]}}")


def policy(*members: str) -> str:
    base = {"Effect": "Allow", "Principal": "'*'", "Action": "'s3:GetObject'", "Resource": "'arn:aws:s3:::shop-x/*'"}
    statements = [base | dict([member.split("=", 1)] if member else []) for member in members]
    texts = ("{" + ", ".join(f"{key}: {value}" for key, value in item.items()) + "}" for item in statements)
    return bucket(f"policy: [{', '.join(texts)}]")


def cdn(spec: str, name: str = "web") -> str:
    return make_document("Cdn", name, f"origin: bucket.files\n{spec}")


def database(spec: str, name: str = "shop") -> str:
    return make_document("Database", "main", f'version: "16"\ndatabase: {name}\nusername: shop\n{spec}')


class Rule(NamedTuple):
    """A rule, its source, what is refused with which words, and what is accepted beside it."""

    name: str
    source: str
    words: str
    refused: tuple[tuple[str, ...], ...]
    accepted: tuple[tuple[str, ...], ...]


def each(*documents: str) -> tuple[tuple[str, ...], ...]:
    """Manifests that are refused or accepted one by one."""
    return tuple((document,) for document in documents)


def with_files(*documents: str) -> tuple[tuple[str, ...], ...]:
    """Manifests that are refused or accepted one by one, each beside a Bucket `files`."""
    return tuple((FILES, document) for document in documents)


PARAMETER = "parameters: {{{}}}"
RULES = (
    Rule(
        "an origin is what a browser sends",
        "RFC 6454 sections 4 and 6.2; S3 User Guide, Elements of a CORS configuration",
        "never matches",
        each(
            *map(
                cors,
                (
                    "https://a.example/",
                    "https://a.example/app",
                    "a.example",
                    "https://A.example",
                    "HTTPS://a.example",
                    "https://a.example:443",
                    "http://a.example:80",
                    "https://joyería.example",
                    "https://*.a.example/",
                ),
            )
        ),
        each(
            *map(
                cors,
                (
                    "https://a.example",
                    "http://localhost:3000",
                    "*",
                    "https://*.a.example",
                    "https://a.example:80",
                    "null",
                    "capacitor://localhost",
                    "http://[::1]:8080",
                    "https://xn--joyera-4va.example",
                    "*.a.example",
                ),
            )
        ),
    ),
    Rule(
        "objects move to later classes only",
        "S3 User Guide, Transitioning objects using Amazon S3 Lifecycle",
        "cannot move",
        each(
            moves(("STANDARD_IA", 90), ("GLACIER", 30)),
            moves(("DEEP_ARCHIVE", 30), ("GLACIER_IR", 60), member="oldVersionTransitions"),
            moves(("ONEZONE_IA", 30), ("GLACIER_IR", 90)),
        ),
        each(
            moves(("GLACIER_IR", 30), ("DEEP_ARCHIVE", 31)),
            moves(("STANDARD_IA", 30), ("GLACIER_IR", 90)),
            moves(("DEEP_ARCHIVE", 180), ("GLACIER", 30)),
        ),
    ),
    Rule(
        "objects stay in infrequent access for 30 days",
        "S3 User Guide, Transitioning objects using Amazon S3 Lifecycle",
        "at least 30 days",
        each(moves(("STANDARD_IA", 30), ("GLACIER", 59)), moves(("ONEZONE_IA", 30), ("DEEP_ARCHIVE", 31))),
        each(moves(("STANDARD_IA", 30), ("GLACIER", 60)), moves(("GLACIER_IR", 1), ("GLACIER", 2))),
    ),
    Rule(
        "one transition to a class",
        "S3 API Reference, PutBucketLifecycleConfiguration",
        "duplicate transition",
        each(moves(("GLACIER", 30), ("GLACIER", 60))),
        each(moves(("GLACIER", 30), ("DEEP_ARCHIVE", 60))),
    ),
    Rule(
        "a bucket policy is about its bucket",
        "S3 User Guide, Policies and permissions in Amazon S3: Resource",
        "shop-x",
        each(*map(policy, ("Resource='arn:aws:s3:::other/*'", "Resource=bucket.x", "Resource='shop-x/*'"))),
        each(
            policy("Resource=['arn:aws:s3:::shop-x', 'arn:aws:s3:::shop-x/a/*']"),
            policy("Resource='arn:aws:s3:::${bucket.x.name}/*'"),
        ),
    ),
    Rule(
        "a bucket policy has actions of S3",
        "S3 API Reference, error MalformedPolicy",
        "not an S3 action",
        each(*map(policy, ("Action='ec2:RunInstances'", "Action=['s3:GetObject', GetObject]"))),
        each(*map(policy, ("Action='s3:*'", "Action='S3:GetObject'"))),
    ),
    Rule(
        "statements have names of their own",
        "IAM User Guide, JSON policy elements: Sid",
        "duplicate Sid",
        each(policy("Sid=A", "Sid=A"), policy("Sid=TlsOnly")),
        each(policy("Sid=A", "Sid=B"), policy("", "")),
    ),
    Rule(
        "principals are of four types",
        "IAM User Guide, JSON policy elements: Principal",
        "not a principal type",
        each(policy("Principal={Aws: '123456789012'}"), policy("Principal={Service: x.amazonaws.com, Role: y}")),
        each(policy("Principal={AWS: '123456789012'}"), policy("Principal={CanonicalUser: abc}")),
    ),
    Rule(
        "a policy has 20 KB",
        "S3 User Guide, Bucket policies",
        "20 KB",
        each(policy(*(f"Resource='arn:aws:s3:::shop-x/{'a' * 200}{number}'" for number in range(100)))),
        each(policy(*(f"Resource='arn:aws:s3:::shop-x/{number}'" for number in range(100)))),
    ),
    Rule(
        "a log bucket is a bucket",
        "the manifests: `bucket.NAME` works wherever a bucket is meant",
        "bucket",
        (
            *each(bucket("accessLog: {bucket: bucket.nope}"), bucket("accessLog: {bucket: Shop Logs}")),
            *with_files(database("fileReferences: [{query: select 1, bucket: bucket.nope}]")),
        ),
        (
            *with_files(bucket("accessLog: {bucket: bucket.files}")),
            *each(bucket("accessLog: {bucket: none}"), bucket("accessLog: {bucket: other.logs}")),
        ),
    ),
    Rule(
        "CloudFront's log bucket has ACLs",
        "CloudFront Developer Guide, Permissions required to configure standard logging",
        "ACLs",
        with_files(
            cdn("logs: {bucket: bucket.files}"),
            cdn("logs: {bucket: shop-files.s3.amazonaws.com}"),
            cdn("logs: {bucket: '${bucket.files.name}.s3.amazonaws.com'}"),
        ),
        with_files(cdn("logs: {bucket: other.s3.amazonaws.com}"), cdn("logs: {bucket: none}")),
    ),
    Rule(
        "the first path that matches is used",
        "CloudFront Developer Guide, Path pattern",
        "never used",
        with_files(
            cdn("paths: [{pattern: '/api/*'}, {pattern: '/api/v1/*'}]"),
            cdn("paths: [{pattern: '/i?.png'}, {pattern: '/ia.png'}]"),
            cdn("paths: [{pattern: '*.png'}, {pattern: '/a/*.png'}]").replace("'*.png'", "'/*.png'"),
        ),
        with_files(
            cdn("paths: [{pattern: '/api/v1/*'}, {pattern: '/api/*'}]"),
            cdn("paths: [{pattern: '/a?'}, {pattern: '/a*'}]"),
            cdn("paths: [{pattern: '/*.png'}, {pattern: '/a*'}]"),
        ),
    ),
    Rule(
        "a path for everything leaves nothing to the origin",
        "CloudFront Developer Guide, Path pattern",
        "no request reaches",
        ((FILES, bucket(""), cdn("paths: [{pattern: '/*', origin: bucket.x}]")),),
        ((FILES, bucket(""), cdn("paths: [{pattern: '/*', cache: disabled}]")),),
    ),
    Rule(
        "a host name belongs to one distribution",
        "CloudFront API Reference, error CNAMEAlreadyExists",
        "has the alias",
        ((FILES, *(cdn(f"aliases: [a.example.com]\ncertificate: {CERTIFICATE}", name) for name in ("web", "too"))),),
        (
            (
                FILES,
                *(cdn(f"aliases: [{name}.example.com]\ncertificate: {CERTIFICATE}", name) for name in ("web", "too")),
            ),
        ),
    ),
    Rule(
        "security headers have fields of their own",
        "CloudFront API Reference, CreateResponseHeadersPolicy",
        "only as a security header",
        with_files(
            cdn("securityHeaders: {custom: {Strict-Transport-Security: max-age=1}}"),
            cdn("securityHeaders: {custom: {x-frame-options: DENY}}"),
        ),
        with_files(cdn("securityHeaders: {custom: {X-Team: shop}}")),
    ),
    Rule(
        "a header has one line of 1783 characters",
        "CloudFront Developer Guide, Quotas: response headers policies",
        "1783",
        with_files(
            *(
                cdn(f"securityHeaders: {{{field}}}")
                for field in (
                    f"contentSecurityPolicy: {'a' * 1784}",
                    'permissions: "a\\nb"',
                    'custom: {X-A: "a\\rb"}',
                )
            )
        ),
        with_files(cdn(f"securityHeaders: {{contentSecurityPolicy: {'a' * 1783}}}")),
    ),
    Rule(
        "countries have codes of ISO 3166-1",
        "CloudFront API Reference, GeoRestriction; botocore, wafv2 CountryCode",
        "not a country code",
        with_files(cdn("geo: {rule: allow, countries: [ES, UK]}")),
        with_files(cdn("geo: {rule: allow, countries: [ES, GB]}")),
    ),
    Rule(
        "RDS takes parameters of PostgreSQL",
        "PostgreSQL, pg_settings; RDS User Guide, Working with parameters on your RDS for PostgreSQL DB instance",
        "log_min_duration_statement",
        each(
            database("parameters: {log_min_duration_statment: 500}"),
            database("parameters: {log_min_duration_statement: -2}"),
        ),
        each(
            database("parameters: {log_min_duration_statement: -1}"),
            database("parameters: {pg_stat_statements.max: 5000}"),
        ),
    ),
    Rule(
        "RDS takes numbers without units",
        "RDS User Guide, Specifying DB parameters",
        "without a unit",
        each(*map(database, ("parameters: {work_mem: 4MB}", "parameters: {statement_timeout: 30s}"))),
        each(
            *map(
                database,
                (
                    "parameters: {work_mem: 4096}",
                    'parameters: {shared_buffers: "{DBInstanceClassMemory/32768}"}',
                    "parameters: {search_path: 30s}",
                ),
            )
        ),
    ),
    Rule(
        "parameters have values of their type",
        "PostgreSQL, pg_settings",
        "cannot be",
        each(
            *map(
                database,
                (
                    "parameters: {log_statement: some}",
                    "parameters: {log_connections: maybe}",
                    "parameters: {work_mem: 63}",
                    "parameters: {work_mem: 4096.5}",
                    "parameters: {random_page_cost: cheap}",
                ),
            )
        ),
        each(
            *map(
                database,
                (
                    "parameters: {log_statement: ddl}",
                    "parameters: {log_connections: true}",
                    "parameters: {work_mem: 64}",
                    "parameters: {random_page_cost: 1.1}",
                    "parameters: {synchronous_commit: off}",
                ),
            )
        ),
    ),
    Rule(
        "RDS keeps some parameters to itself",
        "RDS User Guide, RDS for PostgreSQL DB instance parameter list",
        "is set by RDS",
        each(*map(database, ("parameters: {hba_file: here}", "parameters: {server_version: 16}"))),
        each(database("parameters: {wal_buffers: 2048}")),
    ),
    Rule(
        "networks are blocks without host bits",
        "EC2 API Reference, AuthorizeSecurityGroupIngress",
        "CIDR block",
        each(
            *(
                database(f"public: true\nallowFrom: ['{block}']")
                for block in (
                    "10.0.0.1/8",
                    "999.0.0.1/8",
                    "10.0.0.0/33",
                    ":::/64",
                    "2001:db8::1/32",
                    "2001:0db8::/32",
                )
            )
        ),
        each(
            *(
                database(f"public: true\nallowFrom: ['{block}']")
                for block in ("10.0.0.0/8", "203.0.113.7/32", "2001:db8::/32")
            )
        ),
    ),
    Rule(
        "provisioned storage fits its size",
        "RDS User Guide, Amazon RDS DB instance storage",
        "at most",
        each(
            *(
                database(f"storage: {{{storage}}}")
                for storage in (
                    "type: io1, sizeGb: 100, iops: 5001",
                    "type: io2, sizeGb: 100, iops: 100001",
                    "type: gp3, sizeGb: 400, iops: 12000, throughput: 3001",
                )
            )
        ),
        each(
            *(
                database(f"storage: {{{storage}}}")
                for storage in (
                    "type: io1, sizeGb: 100, iops: 5000",
                    "type: gp3, sizeGb: 400, iops: 16000, throughput: 4000",
                )
            )
        ),
    ),
    Rule(
        "names that PostgreSQL reserves",
        "RDS API Reference, CreateDBInstance: DBName; PostgreSQL, SQL Key Words; for db, catalog and flag "
        "RDS's answer as users quote it: cannot be used. It is a reserved word for this engine",
        "reserved",
        each(*(database("", name) for name in ("select", "Template1", "db", "catalog", "flag"))),
        each(database("", "selects"), database("", "postgres")),
    ),
    Rule(
        "keys and zones are in the region",
        "KMS Developer Guide, Key ARN; RDS API Reference, CreateDBInstance: AvailabilityZone",
        "the Project is in eu-west-1",
        each(
            bucket(f"encryption: aws:kms\nkmsKey: {KEY.format('us-east-1')}"),
            database(f"storage: {{kmsKey: {KEY.format('us-east-1')}}}"),
            database("availabilityZone: us-east-1a"),
            make_document("Secret", "x", f"kmsKey: {KEY.format('eu-west-2')}\ndata: {{A: b}}"),
            make_document("ContainerService", "api", f"{IMAGE}\nencryptionKey: {KEY.format('us-east-1')}"),
        ),
        each(
            database("availabilityZone: eu-west-1a"), bucket(f"encryption: aws:kms\nkmsKey: {KEY.format('eu-west-1')}")
        ),
    ),
    Rule(
        "a resource has 50 tags",
        "AWS General Reference, Tag naming limits and requirements",
        "AWS allows 50",
        each(bucket(f"tags: {{{TAGS}}}")),
        each(bucket("tags: {a: x}")),
    ),
    Rule(
        "AWS keeps the tags of its prefix, in any case",
        "AWS General Reference, Tag naming limits and requirements",
        "spec.tags",
        each(bucket("tags: {'aws:x': b}"), bucket("tags: {'AWS:x': b}"), bucket("tags: {'Aws:x': b}")),
        each(bucket("tags: {awsx: b}"), bucket("tags: {Joyería: 宝石}")),
    ),
    Rule(
        "a secret has 64 KB",
        "Secrets Manager User Guide, Quotas",
        "65536",
        each(make_document("Secret", "x", f"data: {{A: {'é' * 33000}}}")),
        each(make_document("Secret", "x", f"data: {{A: {'é' * 32000}}}")),
    ),
    Rule(
        "a text of one line ends with its line",
        "JSON Schema Validation 6.3.3 and ECMA-262: `$` is the end of the text",
        "cannot be",
        each(
            make_document("ContainerService", "api", f"{IMAGE}\ncommand: |\n  serve me"),
            make_document("Secret", "x", "name: |\n  app/x\ndata: {A: b}"),
        ),
        each(make_document("ContainerService", "api", f"{IMAGE}\ncommand: |-\n  serve me")),
    ),
)


def find_problems(folder: Path, documents: tuple[str, ...]) -> list[str]:
    (folder / "stack.yaml").write_text("---\n".join([PROJECT, *documents]), encoding="utf-8")
    try:
        pipeline.load_desired(folder, "prod")
    except Problems as error:
        return [
            f"{problem.message} {problem.hint or ''}"
            for problem in error.problems
            if problem.where and problem.where.line
        ]
    return []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_aws_refuses_is_refused_and_nothing_beside_it(rule: Rule, tmp_path: Path) -> None:
    """One problem or more of the rule, at its place in the file; the other side of the rule is valid."""
    assert rule.source
    problems = {documents: find_problems(tmp_path, documents) for documents in rule.refused}
    unexpected = [
        (documents, texts) for documents, texts in problems.items() if not any(rule.words in text for text in texts)
    ]
    assert unexpected == []
    assert {documents: texts for documents in rule.accepted if (texts := find_problems(tmp_path, documents))} == {}


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """Of every component, in one report."""
    documents = tuple(
        dict.fromkeys(rule.refused[0][-1] for rule in RULES if rule.refused[0][-1].startswith("apiVersion"))
    )
    renamed = tuple(
        text.replace("{ name: x }", f"{{ name: x{number} }}").replace("name: shop-x\n", f"name: shop-x{number}\n")
        for number, text in enumerate(documents)
        if "kind: Bucket" in text and "policy" not in text and "tags" not in text and "bucket." not in text
    )
    assert len(renamed) > 4
    assert len({text.partition(" ")[0] for text in find_problems(tmp_path, renamed)}) >= 1
    assert len(find_problems(tmp_path, renamed)) >= len(renamed)


def test_the_countries_are_those_of_aws() -> None:
    """botocore's model of AWS WAF lists them."""
    assert set(Session().get_service_model("wafv2").shape_for("CountryCode").enum) == COUNTRY_CODES
