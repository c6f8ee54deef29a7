"""The cache, origin request and response headers policies AWS manages, with their ids.  Data only.

From CloudFront's developer guide, "Use managed cache policies", "... origin request policies", "... response headers
policies".
"""

from __future__ import annotations

from typing import Any

from orchestrator.emulator.server_protocol import Params


def _items(names: list[str]) -> Params:
    return {"Quantity": len(names), "Items": names} if names else {"Quantity": 0}


def _choice(kind: str, plural: str, behaviour: str, names: list[str]) -> Params:
    return {kind: behaviour, **({plural: _items(names)} if names else {})}


def _cache(name: str, ttl: tuple[int, int, int], compressed: bool, headers: list[str], rest: str = "none") -> Params:
    return {
        "Name": f"Managed-{name}",
        "Comment": "",
        "MinTTL": ttl[0],
        "DefaultTTL": ttl[1],
        "MaxTTL": ttl[2],
        "ParametersInCacheKeyAndForwardedToOrigin": {
            "EnableAcceptEncodingGzip": compressed,
            "EnableAcceptEncodingBrotli": compressed,
            "HeadersConfig": _choice("HeaderBehavior", "Headers", "whitelist" if headers else "none", headers),
            "CookiesConfig": {"CookieBehavior": rest},
            "QueryStringsConfig": {"QueryStringBehavior": rest},
        },
    }


def _request(name: str, behaviour: str, headers: list[str], rest: str = "none") -> Params:
    return {
        "Name": f"Managed-{name}",
        "Comment": "",
        "HeadersConfig": _choice("HeaderBehavior", "Headers", behaviour, headers),
        "CookiesConfig": {"CookieBehavior": rest},
        "QueryStringsConfig": {"QueryStringBehavior": rest},
    }


_ALL_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
_SECURITY: Params = {
    "XSSProtection": {"Override": False, "Protection": True, "ModeBlock": True},
    "FrameOptions": {"Override": False, "FrameOption": "SAMEORIGIN"},
    "ReferrerPolicy": {"Override": False, "ReferrerPolicy": "strict-origin-when-cross-origin"},
    "ContentTypeOptions": {"Override": True},
    "StrictTransportSecurity": {"Override": False, "AccessControlMaxAgeSec": 31536000},
}


def _cors(methods: list[str], exposed: list[str]) -> Params:
    cors: Params = {
        "AccessControlAllowOrigins": _items(["*"]),
        "AccessControlAllowHeaders": _items([]),
        "AccessControlAllowMethods": _items(methods),
        "AccessControlAllowCredentials": False,
        "OriginOverride": False,
    }
    return {**cors, **({"AccessControlExposeHeaders": _items(exposed)} if exposed else {})}


def _headers(name: str, cors: Params | None, security: Params | None) -> Params:
    parts: dict[str, Any] = {"CorsConfig": cors, "SecurityHeadersConfig": security}
    return {"Name": f"Managed-{name}", "Comment": "", **{key: value for key, value in parts.items() if value}}


_SIMPLE, _PREFLIGHT = _cors([], []), _cors(_ALL_METHODS, ["*"])
_DAY, _YEAR = 86400, 31536000

MANAGED: dict[str, dict[str, Params]] = {
    "CachePolicy": {
        "658327ea-f89d-4fab-a63d-7e88639e58f6": _cache("CachingOptimized", (1, _DAY, _YEAR), True, []),
        "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": _cache(
            "CachingOptimizedForUncompressedObjects", (1, _DAY, _YEAR), False, []
        ),
        "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": _cache("CachingDisabled", (0, 0, 0), False, []),
        "2e54312d-136d-493c-8eb9-b001f22f67d2": _cache(
            "Amplify", (2, 2, 600), True, ["Authorization", "CloudFront-Viewer-Country", "Host"], "all"
        ),
    },
    "OriginRequestPolicy": {
        "216adef6-5c7f-47e4-b989-5492eafa07d3": _request("AllViewer", "allViewer", [], "all"),
        "b689b0a8-53d0-40ab-baf2-68738e2966ac": _request("AllViewerExceptHostHeader", "allExcept", ["Host"], "all"),
        "59781a5b-3903-41f3-afcb-af62929ccde1": _request("CORS-CustomOrigin", "whitelist", ["Origin"]),
        "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": _request(
            "CORS-S3Origin",
            "whitelist",
            ["Origin", "Access-Control-Request-Headers", "Access-Control-Request-Method"],
        ),
        "acba4595-bd28-49b8-b9fe-13317c0390fa": _request(
            "UserAgentRefererHeaders", "whitelist", ["User-Agent", "Referer"]
        ),
    },
    "ResponseHeadersPolicy": {
        "60669652-455b-4ae9-85a4-c4c02393f86c": _headers("SimpleCORS", _SIMPLE, None),
        "5cc3b908-e619-4b99-88e5-2cf7f45965bd": _headers("CORS-With-Preflight", _PREFLIGHT, None),
        "67f7725c-6f97-4210-82d7-5512b31e9d03": _headers("SecurityHeadersPolicy", None, _SECURITY),
        "e61eb60c-9c35-4d20-a928-2b84e02af89c": _headers("CORS-and-SecurityHeadersPolicy", _SIMPLE, _SECURITY),
        "eaab4381-ed33-4a86-88ca-d9558dc6cd63": _headers(
            "CORS-with-preflight-and-SecurityHeadersPolicy", _PREFLIGHT, _SECURITY
        ),
    },
}
