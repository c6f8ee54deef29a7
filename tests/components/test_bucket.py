"""What a Bucket becomes, and what it is not allowed to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import components
from orchestrator.components import Stack
from orchestrator.manifest import check, expand, load
from orchestrator.problems import Problems
from orchestrator.values import Ref, TemplateString
from tests.components import manifest_stacks
from tests.components.manifest_stacks import make_document

FILES = make_document("Bucket", "files", "prefixes: [photos, ml-models]")
WEB = make_document("Bucket", "web", "name: shop-web-${project.environment}")
CDN = make_document("Cdn", "web", "{ origin: bucket.web, paths: [{ pattern: /ml-models/*, origin: bucket.files }] }")
DISTRIBUTION = Ref("cloudfront_distribution.web", "arn")


def stack(folder: Path, *documents: str) -> Stack:
    (folder / "stack.yaml").write_text("---\n".join([manifest_stacks.PROJECT, *documents]))
    return expand.build_stack(check.check(load.load(folder), "prod"))


def test_a_bucket_that_says_nothing_is_private_encrypted_and_versioned(tmp_path: Path) -> None:
    """The defaults are the safe choices, and its policy refuses what is not encrypted on its way."""
    made = manifest_stacks.load_resources(tmp_path, make_document("Bucket", "files", "{}"))

    bucket = made["s3_bucket.files"]
    assert bucket.physical == "shop-prod-files"
    assert {key: value for key, value in bucket.spec.items() if key != "tags"} == {
        "region": "eu-west-1",
        "namespace": "global",
        "versioning": True,
        "encryption": {"algorithm": "AES256"},
        "public_access": "blocked",
        "ownership": "BucketOwnerEnforced",
        "lifecycle": [
            {
                "Filter": {"Prefix": ""},
                "Status": "Enabled",
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            }
        ],
    }
    assert [statement["Sid"] for statement in made["s3_bucket_policy.files"].spec["statements"]] == ["TlsOnly"]
    assert made["s3_bucket_cors.files"].spec == {"rules": []}


@pytest.mark.parametrize("policy", ["retain", "delete"])
def test_the_bucket_itself_says_whether_it_may_be_deleted(tmp_path: Path, policy: str) -> None:
    """The manifest's word outlives the manifest, as a tag."""
    made = manifest_stacks.load_resources(tmp_path, make_document("Bucket", "files", f"deletionPolicy: {policy}"))

    assert made["s3_bucket.files"].spec["tags"]["orchestrator:deletion-policy"] == policy


def test_policy_and_cors_come_after_the_bucket_and_the_cdn(tmp_path: Path) -> None:
    """The distribution reads a bucket whose policy names it: apart, there is no circle."""
    files = make_document("Bucket", "files", 'cors: [{ origins: ["https://${cdn.web.domain}"], methods: [GET] }]')
    made = manifest_stacks.load_desired(tmp_path, files, WEB, CDN).resources
    order = [resource.address for resource in made]

    assert order.index("s3_bucket.files") < order.index("cloudfront_distribution.web")
    assert order.index("cloudfront_distribution.web") < order.index("s3_bucket_policy.files")
    assert order.index("cloudfront_distribution.web") < order.index("s3_bucket_cors.files")
    cors = next(resource for resource in made if resource.address == "s3_bucket_cors.files")
    assert cors.spec["rules"][0]["AllowedOrigins"] == [
        TemplateString(("https://", Ref("cloudfront_distribution.web", "domain")))
    ]


def test_the_bucket_that_gets_the_log_comes_first(tmp_path: Path) -> None:
    """S3 refuses to log into a bucket that is not there, or whose policy does not let the log in."""
    files = make_document("Bucket", "files", 'accessLog: { bucket: "${bucket.logs.name}" }')
    made = manifest_stacks.load_resources(
        tmp_path, files, make_document("Bucket", "logs", 'accessLog: { bucket: "${bucket.logs.name}" }')
    )

    assert made["s3_bucket.files"].depends_on == {"s3_bucket.logs", "s3_bucket_policy.logs"}
    assert made["s3_bucket.logs"].depends_on == set()


def test_a_cdn_reads_only_what_it_serves(tmp_path: Path) -> None:
    """Its own site whole, of another bucket one prefix; and both tell a missing object from a refused one."""
    made = manifest_stacks.load_resources(tmp_path, FILES, WEB, CDN)
    condition = {"StringEquals": {"AWS:SourceArn": DISTRIBUTION}}

    assert {
        address: [(each["Action"], each["Resource"]) for each in made[address].spec["statements"][1:]]
        for address in ("s3_bucket_policy.files", "s3_bucket_policy.web")
    } == {
        "s3_bucket_policy.files": [
            ("s3:GetObject", ["arn:aws:s3:::shop-prod-files/ml-models/*"]),
            ("s3:ListBucket", ["arn:aws:s3:::shop-prod-files"]),
        ],
        "s3_bucket_policy.web": [
            ("s3:GetObject", ["arn:aws:s3:::shop-web-prod/*"]),
            ("s3:ListBucket", ["arn:aws:s3:::shop-web-prod"]),
        ],
    }
    granted = [each for address in made if "policy" in address for each in made[address].spec["statements"][1:]]
    assert all(each["Condition"] == condition for each in granted)
    assert all(each["Principal"] == {"Service": "cloudfront.amazonaws.com"} for each in granted)


def test_access_is_limited_to_the_prefixes(tmp_path: Path) -> None:
    """A service may read and write under them, and nowhere else."""
    found = stack(tmp_path, FILES).access_statements["bucket.files"]

    assert [(each["Action"][-1], each["Resource"]) for each in found] == [
        ("s3:GetBucketLocation", ["arn:aws:s3:::shop-prod-files"]),
        ("s3:ListBucket", ["arn:aws:s3:::shop-prod-files"]),
        (
            "s3:AbortMultipartUpload",
            ["arn:aws:s3:::shop-prod-files/photos/*", "arn:aws:s3:::shop-prod-files/ml-models/*"],
        ),
    ]


def test_access_to_a_bucket_with_a_key_includes_the_key(tmp_path: Path) -> None:
    """Without it every read would be refused by KMS."""
    key = "arn:aws:kms:eu-west-1:123456789012:key/6f2d1e04-5b7a-4c3e-9d1f-8a2b3c4d5e6f"
    bucket = make_document("Bucket", "files", f'{{ encryption: "aws:kms", kmsKey: "{key}" }}')

    assert stack(tmp_path, bucket).access_statements["bucket.files"][-1]["Resource"] == [key]
    assert manifest_stacks.load_resources(tmp_path, bucket)["s3_bucket.files"].spec["encryption"] == {
        "algorithm": "aws:kms",
        "bucket_key": True,
        "key": key,
    }


def test_what_others_refer_to_is_known_beforehand(tmp_path: Path) -> None:
    """Name, ARN and domain are final text."""
    found = stack(tmp_path, WEB)

    assert components.exports(found.components["bucket.web"], found.scope) == {
        "name": "shop-web-prod",
        "arn": "arn:aws:s3:::shop-web-prod",
        "domain": "shop-web-prod.s3.eu-west-1.amazonaws.com",
    }


def test_the_accounts_own_namespace_is_part_of_the_name(tmp_path: Path) -> None:
    """AWS demands account and region at the end of it."""
    made = manifest_stacks.load_resources(
        tmp_path, make_document("Bucket", "files", "{ name: shop, namespace: account-regional }")
    )

    assert made["s3_bucket.files"].physical == "shop-123456789012-eu-west-1-an"


def test_each_prefix_has_one_lifecycle_rule(tmp_path: Path) -> None:
    """Old versions, unfinished uploads and delete markers are one rule; each prefix has its own."""
    spec = """
    lifecycle:
      expireOldVersionsAfterDays: 30
      keepNewestVersions: 3
      rules:
        - prefix: tmp/
          expireAfterDays: 60
          transitions: [{ afterDays: 30, storageClass: STANDARD_IA }]
    """
    made = manifest_stacks.load_resources(tmp_path, make_document("Bucket", "files", spec))

    assert made["s3_bucket.files"].spec["lifecycle"] == [
        {
            "Filter": {"Prefix": ""},
            "Status": "Enabled",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 3},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
        {
            "Filter": {"Prefix": "tmp/"},
            "Status": "Enabled",
            "Expiration": {"Days": 60},
            "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}],
        },
    ]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("name: Shop_Files", "must have 3 to 63 lower-case letters"),
        ("name: shop.files", "a dot would break TLS"),
        ("name: xn--shop", "S3 reserves some prefixes"),
        ("name: shop--ol-s3", "S3 reserves some prefixes"),
        ("publicAccess: open", "must be `blocked`"),
        ("encryption: none", "S3 always encrypts"),
        ("prefixes: [/photos/]", "without a slash at either end"),
        ('kmsKey: "arn:aws:kms:eu-west-1:123456789012:alias/a"', "`kmsKey` has no effect with `encryption: AES256`"),
        ("lifecycle: { keepNewestVersions: 3 }", "`keepNewestVersions` requires `expireOldVersionsAfterDays`"),
        ("{ versioning: false, lifecycle: { expireOldVersionsAfterDays: 9 } }", "has no old versions"),
        ("lifecycle: { rules: [{ prefix: a/ }] }", "S3 rejects a rule without an action"),
        ("lifecycle: { rules: [{ expireAfterDays: 1 }, { expireAfterDays: 2 }] }", "duplicate rule for the prefix ``"),
        (
            "lifecycle: { rules: [{ transitions: [{ afterDays: 7, storageClass: STANDARD_IA }] }] }",
            "objects can move to STANDARD_IA after 30 days at the earliest",
        ),
        (
            "lifecycle: { rules: [{ expireAfterDays: 9, transitions: [{ afterDays: 9, storageClass: GLACIER }] }] }",
            "objects expire after 9 days, before they would move",
        ),
        ('cors: [{ origins: ["https://*.a.*"], methods: [GET] }]', "at most one `*`"),
        ('cors: [{ origins: ["*"], methods: [OPTIONS] }]', "S3 responds to OPTIONS automatically"),
        ('cors: [{ origins: ["*"], methods: [GET], exposeHeaders: ["*"] }]', "must be a header name without `*`"),
    ],
)
def test_what_s3_refuses_is_said_before(tmp_path: Path, spec: str, sentence: str) -> None:
    """Each rule of S3 is one sentence, before anything is touched."""
    with pytest.raises(Problems) as found:
        manifest_stacks.load_desired(tmp_path, make_document("Bucket", "files", spec))

    assert sentence in str(found.value)


def test_a_log_bucket_lets_s3_write_the_logs_of_its_source(tmp_path: Path) -> None:
    """S3 User Guide, "Permissions for log delivery": the logging service, for the source bucket, from this account."""
    logs = make_document("Bucket", "logs", "tlsOnly: false")
    source = make_document("Bucket", "files", "name: shop-files\naccessLog: { bucket: bucket.logs, prefix: files/ }")
    resources = manifest_stacks.load_resources(tmp_path, source, logs)

    assert resources["s3_bucket.files"].spec["logging"] == {"bucket": "shop-prod-logs", "prefix": "files/"}
    assert {"s3_bucket.logs", "s3_bucket_policy.logs"} <= resources["s3_bucket.files"].depends_on
    assert resources["s3_bucket_policy.logs"].spec["statements"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::shop-prod-logs/files/*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": "arn:aws:s3:::shop-files"},
                "StringEquals": {"aws:SourceAccount": "123456789012"},
            },
        }
    ]
