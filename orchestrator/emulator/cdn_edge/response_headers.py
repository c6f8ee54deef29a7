"""Add the headers of policies: a distribution's response headers policy, a bucket's CORS rules. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.emulator.cdn_edge.bucket_policy import matches_wildcard
from orchestrator.emulator.http_messages import Request
from orchestrator.emulator.server_protocol import Params

Headers = tuple[tuple[str, str], ...]
_ALL_METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]


def apply_policy(headers: Headers, policy: Params, request: Request) -> Headers:
    """Return a response's headers under a policy: removals first, then additions if absent or overriding."""
    removed_names = {item["Header"].lower() for item in policy.get("RemoveHeadersConfig", {}).get("Items", [])}
    result = [(name, value) for name, value in headers if name.lower() not in removed_names]
    policy_headers = [
        *_security_headers(policy.get("SecurityHeadersConfig", {})),
        *_policy_cors_headers(policy.get("CorsConfig"), request),
    ]
    custom_items = policy.get("CustomHeadersConfig", {}).get("Items", [])
    policy_headers += [(item["Header"], item["Value"], item["Override"]) for item in custom_items]
    for name, value, override in policy_headers:
        is_present = any(name.lower() == present_name.lower() for present_name, _ in result)
        if override or not is_present:
            result = [pair for pair in result if pair[0].lower() != name.lower()]
            result.append((name, value))
    return tuple(result)


def build_bucket_cors_headers(rules: Sequence[Params], request: Request) -> Headers:
    """Return the headers S3 adds for a request with an Origin, by the first CORS rule that matches."""
    origin = request.header("origin")
    is_preflight = request.method == "OPTIONS"
    method = request.header("access-control-request-method") if is_preflight else request.method
    requested_headers = [
        item.strip() for item in request.header("access-control-request-headers").split(",") if item.strip()
    ]
    for rule in rules if origin else ():
        pattern = next((item for item in rule["AllowedOrigins"] if matches_wildcard(item, origin)), None)
        headers_allowed = all(
            any(
                matches_wildcard(allowed_header.lower(), requested_header.lower())
                for allowed_header in rule.get("AllowedHeaders", [])
            )
            for requested_header in requested_headers
        )
        if pattern is not None and method in rule["AllowedMethods"] and headers_allowed:
            return tuple(_cors_rule_headers(rule, "*" if pattern == "*" else origin, requested_headers))
    return ()


def _cors_rule_headers(rule: Params, origin: str, requested_headers: list[str]) -> Iterator[tuple[str, str]]:
    yield "Access-Control-Allow-Origin", origin
    yield "Access-Control-Allow-Methods", ", ".join(rule["AllowedMethods"])
    if requested_headers:
        yield "Access-Control-Allow-Headers", ", ".join(requested_headers)
    if rule.get("ExposeHeaders"):
        yield "Access-Control-Expose-Headers", ", ".join(rule["ExposeHeaders"])
    if rule.get("MaxAgeSeconds"):
        yield "Access-Control-Max-Age", str(rule["MaxAgeSeconds"])
    yield "Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def _security_headers(config: Params) -> Iterator[tuple[str, str, bool]]:
    if xss_protection := config.get("XSSProtection"):
        block = "; mode=block" if xss_protection.get("ModeBlock") else ""
        yield "X-XSS-Protection", f"1{block}" if xss_protection["Protection"] else "0", xss_protection["Override"]
    if frame_options := config.get("FrameOptions"):
        yield "X-Frame-Options", frame_options["FrameOption"], frame_options["Override"]
    if referrer_policy := config.get("ReferrerPolicy"):
        yield "Referrer-Policy", referrer_policy["ReferrerPolicy"], referrer_policy["Override"]
    if content_policy := config.get("ContentSecurityPolicy"):
        yield "Content-Security-Policy", content_policy["ContentSecurityPolicy"], content_policy["Override"]
    if content_type_options := config.get("ContentTypeOptions"):
        yield "X-Content-Type-Options", "nosniff", content_type_options["Override"]
    if transport_security := config.get("StrictTransportSecurity"):
        subdomains = "; includeSubDomains" if transport_security.get("IncludeSubdomains") else ""
        preload = "; preload" if transport_security.get("Preload") else ""
        value = f"max-age={transport_security['AccessControlMaxAgeSec']}{subdomains}{preload}"
        yield "Strict-Transport-Security", value, transport_security["Override"]


def _policy_cors_headers(config: Params | None, request: Request) -> Iterator[tuple[str, str, bool]]:
    origin = request.header("origin")
    if not config or not origin:
        return
    allowed_origins, override = config["AccessControlAllowOrigins"].get("Items", []), config["OriginOverride"]
    if not any(
        allowed_origin == "*"
        or matches_wildcard(allowed_origin, origin)
        or matches_wildcard(allowed_origin, origin.partition("://")[2])
        for allowed_origin in allowed_origins
    ):
        return
    yield "Access-Control-Allow-Origin", "*" if "*" in allowed_origins else origin, override
    if exposed_headers := config.get("AccessControlExposeHeaders", {}).get("Items", []):
        yield "Access-Control-Expose-Headers", ", ".join(exposed_headers), override
    if config["AccessControlAllowCredentials"]:
        yield "Access-Control-Allow-Credentials", "true", override
    if request.method == "OPTIONS":
        methods = config["AccessControlAllowMethods"].get("Items", [])
        yield "Access-Control-Allow-Methods", ", ".join(_ALL_METHODS if "ALL" in methods else methods), override
        if names := config["AccessControlAllowHeaders"].get("Items", []):
            yield "Access-Control-Allow-Headers", ", ".join(names), override
        if "AccessControlMaxAgeSec" in config:
            yield "Access-Control-Max-Age", str(config["AccessControlMaxAgeSec"]), override
