"""What a Cdn becomes, and what it is not allowed to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import components
from orchestrator.components import Grant
from orchestrator.manifest import check, expand, load
from orchestrator.problems import Problems
from orchestrator.values import Ref, TemplateString
from tests.components import manifest_stacks
from tests.components.manifest_stacks import make_document

BUCKETS = (make_document("Bucket", "web", "{}"), make_document("Bucket", "files", "{}"))
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/6f2d1e04-5b7a-4c3e-9d1f-8a2b3c4d5e6f"


def cdn(spec: str) -> str:
    return make_document("Cdn", "web", spec)


def distribution(folder: Path, spec: str) -> dict[str, Any]:
    return dict(manifest_stacks.load_resources(folder, *BUCKETS, cdn(spec))["cloudfront_distribution.web"].spec)


def test_a_site_is_a_distribution_with_a_function_and_access_of_its_own(tmp_path: Path) -> None:
    """Deep links by a function on the site alone, AWS's own headers, https only, compressed, over HTTP/3."""
    made = manifest_stacks.load_resources(tmp_path, *BUCKETS, cdn("origin: bucket.web"))
    spec = made["cloudfront_distribution.web"].spec

    assert {address.partition(".")[0] for address in made if "cloudfront" in address} == {
        "cloudfront_oac",
        "cloudfront_function",
        "cloudfront_distribution",
    }
    assert spec["default_behaviour"] == {
        "origin": "bucket.web",
        "viewer_protocol": "redirect-to-https",
        "methods": ["GET", "HEAD"],
        "compress": True,
        "cache_policy": "658327ea-f89d-4fab-a63d-7e88639e58f6",
        "request_policy": None,
        "headers_policy": "67f7725c-6f97-4210-82d7-5512b31e9d03",
        "viewer_request": Ref("cloudfront_function.web", "arn"),
    }
    assert spec["origins"]["bucket.web"] == {
        "domain": "shop-prod-web.s3.eu-west-1.amazonaws.com",
        "path": "",
        "access_control": Ref("cloudfront_oac.web", "id"),
    }
    assert (spec["price_class"], spec["http_version"], spec["root_object"]) == (
        "PriceClass_100",
        "http2and3",
        "index.html",
    )


def test_a_path_has_no_deep_links(tmp_path: Path) -> None:
    """A model file that is missing is missing, and pages of every origin may read one that is there."""
    spec = distribution(
        tmp_path, "{ origin: bucket.web, paths: [{ pattern: /ml-models/*, origin: bucket.files, cors: true }] }"
    )
    path = spec["behaviours"]["/ml-models/*"]

    assert (path["origin"], path["viewer_request"]) == ("bucket.files", None)
    assert path["methods"] == ["GET", "HEAD", "OPTIONS"]
    assert path["request_policy"] == "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf"
    assert path["headers_policy"] == "eaab4381-ed33-4a86-88ca-d9558dc6cd63"
    assert spec["order"] == ["/ml-models/*"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("httpsOnly: false", "allow-all"),
        ("httpRedirect: false", "https-only"),
        ("httpsOnly: true", "redirect-to-https"),
    ],
)
def test_who_comes_by_http(tmp_path: Path, spec: str, expected: str) -> None:
    """Is let in, refused, or sent to https."""
    found = distribution(tmp_path, f"{{ origin: bucket.web, {spec} }}")

    assert found["default_behaviour"]["viewer_protocol"] == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("europe", "PriceClass_100"), ("asia", "PriceClass_200"), ("world", "PriceClass_All")]
)
def test_price_classes_have_names(tmp_path: Path, name: str, expected: str) -> None:
    """Of places, not of numbers."""
    assert distribution(tmp_path, f"{{ origin: bucket.web, priceClass: {name} }}")["price_class"] == expected


def test_headers_of_ones_own_are_a_policy_of_ones_own(tmp_path: Path) -> None:
    """It serves the site and the paths without CORS."""
    spec = """
    origin: bucket.web
    paths: [{ pattern: /docs/* }]
    securityHeaders: { contentSecurityPolicy: "default-src 'self'", permissions: camera=(self) }
    """
    made = manifest_stacks.load_resources(tmp_path, *BUCKETS, cdn(spec))

    assert made["cloudfront_headers.web"].spec == {
        "comment": "orchestrator shop/prod cdn.web",
        "hsts": {"max_age": 31536000, "subdomains": False, "preload": False},
        "csp": "default-src 'self'",
        "frame": "SAMEORIGIN",
        "referrer": "strict-origin-when-cross-origin",
        "custom": [{"name": "Permissions-Policy", "value": "camera=(self)"}],
        "remove": [],
    }
    live = made["cloudfront_distribution.web"].spec
    policy = Ref("cloudfront_headers.web", "id")
    assert live["default_behaviour"]["headers_policy"] == policy
    assert live["behaviours"]["/docs/*"]["headers_policy"] == policy


def test_a_site_may_do_without_all_of_it(tmp_path: Path) -> None:
    """No function, no headers."""
    made = manifest_stacks.load_resources(
        tmp_path, *BUCKETS, cdn("{ origin: bucket.web, deepLinks: false, securityHeaders: false }")
    )
    default = made["cloudfront_distribution.web"].spec["default_behaviour"]

    assert "cloudfront_function.web" not in made
    assert (default["viewer_request"], default["headers_policy"]) == (None, None)


@pytest.mark.parametrize(
    ("spec", "domain"),
    [
        ("{ origin: bucket.web }", Ref("cloudfront_distribution.web", "domain")),
        (f'{{ origin: bucket.web, aliases: [app.shop.example], certificate: "{CERTIFICATE}" }}', "app.shop.example"),
    ],
)
def test_its_domain_is_its_first_alias(tmp_path: Path, spec: str, domain: Any) -> None:
    """Known beforehand where it has one."""
    (tmp_path / "stack.yaml").write_text("---\n".join([manifest_stacks.PROJECT, *BUCKETS, cdn(spec)]))
    stack = expand.build_stack(check.check(load.load(tmp_path), "prod"))
    found = components.exports(stack.components["cdn.web"], stack.scope)

    assert found["domain"] == domain
    assert found["url"] == (f"https://{domain}" if isinstance(domain, str) else TemplateString(("https://", domain)))
    assert found["id"] == Ref("cloudfront_distribution.web", "id")


def test_it_asks_buckets_for_what_it_serves(tmp_path: Path) -> None:
    """A path of the site's own bucket asks for nothing more."""
    paths = "[{ pattern: /ml-models/*, origin: bucket.files }, { pattern: /assets/* }]"
    spec = f"{{ origin: bucket.web, paths: {paths} }}"
    (tmp_path / "stack.yaml").write_text("---\n".join([manifest_stacks.PROJECT, *BUCKETS, cdn(spec)]))
    stack = expand.build_stack(check.check(load.load(tmp_path), "prod"))
    address = "cloudfront_distribution.web"
    ours = {"distribution_arn": Ref(address, "arn"), "distribution_id": Ref(address, "id")}

    assert list(components.grants(stack.components["cdn.web"], stack.scope)) == [
        Grant("bucket.web", "cdn.web", "cdn-read", {**ours, "pattern": "*"}),
        Grant("bucket.files", "cdn.web", "cdn-read", {**ours, "pattern": "ml-models/*"}),
    ]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("origin: bucket.nowhere", "unknown component bucket.nowhere"),
        ("{ origin: bucket.web, aliases: [app.shop.example] }", "require a certificate"),
        (f'{{ origin: bucket.web, certificate: "{CERTIFICATE}" }}', "has no effect without `aliases`"),
        (
            '{ origin: bucket.web, certificate: "arn:aws:acm:eu-west-1:123456789012:certificate/6f2d" }',
            "must be the ARN of a certificate in us-east-1",
        ),
        ("{ origin: bucket.web, priceClass: cheap }", "PriceClass_100"),
        ("{ origin: bucket.web, paths: [{ pattern: a/* }] }", "must begin with /"),
        ("{ origin: bucket.web, paths: [{ pattern: /a/* }, { pattern: /a/* }] }", "duplicate path pattern `/a/*`"),
        ("{ origin: bucket.web, geo: { rule: allow } }", "`allow` and `deny` require `countries`"),
        ("{ origin: bucket.web, geo: { rule: allow, countries: [Spain] } }", "two capital letters"),
        (
            "{ origin: bucket.web, securityHeaders: { strictTransport: { preload: true } } }",
            "`preload` requires subdomains and a max-age of at least one year",
        ),
    ],
)
def test_what_cloudfront_refuses_is_said_before(tmp_path: Path, spec: str, sentence: str) -> None:
    """Each rule is one sentence, before anything is touched."""
    with pytest.raises(Problems) as found:
        manifest_stacks.load_desired(tmp_path, *BUCKETS, cdn(spec))

    assert sentence in str(found.value)
