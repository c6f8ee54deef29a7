"""List the cache, origin request and response headers policies that AWS manages, with their IDs. Data only.

From CloudFront's developer guide, "Use managed cache policies", "... origin request policies", "... response headers
policies".
"""

from __future__ import annotations

from typing import Any

from orchestrator.emulator.server_protocol import Params


def _item_list(names: list[str]) -> Params:
    return {"Quantity": len(names), "Items": names} if names else {"Quantity": 0}


def _selection_config(behaviour_key: str, items_key: str, behaviour: str, names: list[str]) -> Params:
    return {behaviour_key: behaviour, **({items_key: _item_list(names)} if names else {})}


def _cache_policy(
    name: str, ttl: tuple[int, int, int], is_compressed: bool, headers: list[str], other_behaviour: str = "none"
) -> Params:
    return {
        "Name": f"Managed-{name}",
        "Comment": "",
        "MinTTL": ttl[0],
        "DefaultTTL": ttl[1],
        "MaxTTL": ttl[2],
        "ParametersInCacheKeyAndForwardedToOrigin": {
            "EnableAcceptEncodingGzip": is_compressed,
            "EnableAcceptEncodingBrotli": is_compressed,
            "HeadersConfig": _selection_config(
                "HeaderBehavior", "Headers", "whitelist" if headers else "none", headers
            ),
            "CookiesConfig": {"CookieBehavior": other_behaviour},
            "QueryStringsConfig": {"QueryStringBehavior": other_behaviour},
        },
    }


def _origin_request_policy(name: str, behaviour: str, headers: list[str], other_behaviour: str = "none") -> Params:
    return {
        "Name": f"Managed-{name}",
        "Comment": "",
        "HeadersConfig": _selection_config("HeaderBehavior", "Headers", behaviour, headers),
        "CookiesConfig": {"CookieBehavior": other_behaviour},
        "QueryStringsConfig": {"QueryStringBehavior": other_behaviour},
    }


_ALL_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
_SECURITY_HEADERS: Params = {
    "XSSProtection": {"Override": False, "Protection": True, "ModeBlock": True},
    "FrameOptions": {"Override": False, "FrameOption": "SAMEORIGIN"},
    "ReferrerPolicy": {"Override": False, "ReferrerPolicy": "strict-origin-when-cross-origin"},
    "ContentTypeOptions": {"Override": True},
    "StrictTransportSecurity": {"Override": False, "AccessControlMaxAgeSec": 31536000},
}


def _cors_config(methods: list[str], exposed: list[str]) -> Params:
    cors: Params = {
        "AccessControlAllowOrigins": _item_list(["*"]),
        "AccessControlAllowHeaders": _item_list([]),
        "AccessControlAllowMethods": _item_list(methods),
        "AccessControlAllowCredentials": False,
        "OriginOverride": False,
    }
    return {**cors, **({"AccessControlExposeHeaders": _item_list(exposed)} if exposed else {})}


def _response_headers_policy(name: str, cors: Params | None, security: Params | None) -> Params:
    parts: dict[str, Any] = {"CorsConfig": cors, "SecurityHeadersConfig": security}
    return {"Name": f"Managed-{name}", "Comment": "", **{key: value for key, value in parts.items() if value}}


_SIMPLE_CORS, _PREFLIGHT_CORS = _cors_config([], []), _cors_config(_ALL_METHODS, ["*"])
_DAY_SECONDS, _YEAR_SECONDS = 86400, 31536000

MANAGED_POLICIES: dict[str, dict[str, Params]] = {
    "CachePolicy": {
        "658327ea-f89d-4fab-a63d-7e88639e58f6": _cache_policy(
            "CachingOptimized", (1, _DAY_SECONDS, _YEAR_SECONDS), True, []
        ),
        "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": _cache_policy(
            "CachingOptimizedForUncompressedObjects", (1, _DAY_SECONDS, _YEAR_SECONDS), False, []
        ),
        "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": _cache_policy("CachingDisabled", (0, 0, 0), False, []),
        "2e54312d-136d-493c-8eb9-b001f22f67d2": _cache_policy(
            "Amplify", (2, 2, 600), True, ["Authorization", "CloudFront-Viewer-Country", "Host"], "all"
        ),
    },
    "OriginRequestPolicy": {
        "216adef6-5c7f-47e4-b989-5492eafa07d3": _origin_request_policy("AllViewer", "allViewer", [], "all"),
        "b689b0a8-53d0-40ab-baf2-68738e2966ac": _origin_request_policy(
            "AllViewerExceptHostHeader", "allExcept", ["Host"], "all"
        ),
        "59781a5b-3903-41f3-afcb-af62929ccde1": _origin_request_policy("CORS-CustomOrigin", "whitelist", ["Origin"]),
        "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": _origin_request_policy(
            "CORS-S3Origin",
            "whitelist",
            ["Origin", "Access-Control-Request-Headers", "Access-Control-Request-Method"],
        ),
        "acba4595-bd28-49b8-b9fe-13317c0390fa": _origin_request_policy(
            "UserAgentRefererHeaders", "whitelist", ["User-Agent", "Referer"]
        ),
    },
    "ResponseHeadersPolicy": {
        "60669652-455b-4ae9-85a4-c4c02393f86c": _response_headers_policy("SimpleCORS", _SIMPLE_CORS, None),
        "5cc3b908-e619-4b99-88e5-2cf7f45965bd": _response_headers_policy("CORS-With-Preflight", _PREFLIGHT_CORS, None),
        "67f7725c-6f97-4210-82d7-5512b31e9d03": _response_headers_policy(
            "SecurityHeadersPolicy", None, _SECURITY_HEADERS
        ),
        "e61eb60c-9c35-4d20-a928-2b84e02af89c": _response_headers_policy(
            "CORS-and-SecurityHeadersPolicy", _SIMPLE_CORS, _SECURITY_HEADERS
        ),
        "eaab4381-ed33-4a86-88ca-d9558dc6cd63": _response_headers_policy(
            "CORS-with-preflight-and-SecurityHeadersPolicy", _PREFLIGHT_CORS, _SECURITY_HEADERS
        ),
    },
}
