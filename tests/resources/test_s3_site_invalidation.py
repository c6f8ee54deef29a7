"""Which paths CloudFront is asked to forget.

Developer guide, "What you need to know when invalidating files": a path begins with a slash, unsafe and non-ASCII
characters are encoded, and a pattern with a star counts as one path.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.resources.s3_site.invalidation import MAX_PATHS, encode, invalidate
from orchestrator.steps import ApiCall, trace_steps

MANY = [f"assets/{number}.js" for number in range(MAX_PATHS + 1)]
CASES: dict[str, tuple[list[str], list[str], str, list[str]]] = {
    "a page": (["*"], ["about.html"], "", ["/about.html"]),
    "the front page, which has two addresses": (["*"], ["index.html", "a.js"], "", ["/", "/a.js", "/index.html"]),
    "the front page below a prefix": (["shop/*"], ["shop/index.html"], "shop/", ["/shop/", "/shop/index.html"]),
    "another index": (["*"], ["blog/index.html"], "", ["/blog/index.html"]),
    "what the distribution does not serve": (["shop/*"], ["blog/a.html"], "shop/", []),
    "as many as may be": (["*"], MANY[:MAX_PATHS], "", sorted(f"/{path}" for path in MANY[:MAX_PATHS])),
    "one more": (["assets/*"], MANY, "", ["/assets/*"]),
    "one more, with the front page": (["*"], [*MANY[: MAX_PATHS - 1], "index.html"], "", ["/*"]),
    "two patterns": (["a/*", "b/*"], ["a/1", "b/2", "c/3"], "", ["/a/1", "/b/2"]),
    "characters to encode": (["*"], ["Über uns.html"], "", ["/%C3%9Cber%20uns.html"]),
    "nothing": (["*"], [], "", []),
}


def list_requests(patterns: list[str], paths: list[str], prefix: str) -> list[dict[str, Any]]:
    distributions = [{"id": "E1", "patterns": patterns}]
    steps = trace_steps("s3_site.web", invalidate(distributions, paths, prefix)).steps
    return [dict(step.parameters) for step in steps if isinstance(step, ApiCall)]


@pytest.mark.parametrize(("patterns", "paths", "prefix", "expected"), CASES.values(), ids=CASES)
def test_paths(patterns: list[str], paths: list[str], prefix: str, expected: list[str]) -> None:
    requests = list_requests(patterns, paths, prefix)

    assert [item["InvalidationBatch"]["Paths"]["Items"] for item in requests] == ([expected] if expected else [])
    assert [item["InvalidationBatch"]["Paths"]["Quantity"] for item in requests] == (
        [len(expected)] if expected else []
    )
    assert {item["DistributionId"] for item in requests} <= {"E1"}


@pytest.mark.parametrize(("path", "encoded"), [("a-b_c.d/e", "a-b_c.d/e"), ("a~b", "a%7Eb"), ("a?b#c", "a%3Fb%23c")])
def test_a_path_is_encoded_as_cloudfront_wants_it(path: str, encoded: str) -> None:
    assert encode(path) == encoded
