"""Headers that policies add: a distribution's response headers policy, a bucket's CORS rules.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.emulator.cdn_edge.bucket_policy import like
from orchestrator.emulator.http_messages import Request
from orchestrator.emulator.server_protocol import Params

Headers = tuple[tuple[str, str], ...]
_ALL_METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]


def with_policy(headers: Headers, policy: Params, request: Request) -> Headers:
    """An answer's headers under a response headers policy: removed, then added where absent or to override."""
    removed = {each["Header"].lower() for each in policy.get("RemoveHeadersConfig", {}).get("Items", [])}
    found = [(name, value) for name, value in headers if name.lower() not in removed]
    added = [*_security(policy.get("SecurityHeadersConfig", {})), *_cors(policy.get("CorsConfig"), request)]
    custom = policy.get("CustomHeadersConfig", {}).get("Items", [])
    added += [(each["Header"], each["Value"], each["Override"]) for each in custom]
    for name, value, override in added:
        there = any(name.lower() == other.lower() for other, _ in found)
        if override or not there:
            found = [pair for pair in found if pair[0].lower() != name.lower()]
            found.append((name, value))
    return tuple(found)


def bucket_cors(rules: Sequence[Params], request: Request) -> Headers:
    """What S3 adds to an answer for a request with an Origin, by the first of a bucket's rules that fits."""
    origin = request.header("origin")
    preflight = request.method == "OPTIONS"
    method = request.header("access-control-request-method") if preflight else request.method
    asked = [each.strip() for each in request.header("access-control-request-headers").split(",") if each.strip()]
    for rule in rules if origin else ():
        pattern = next((each for each in rule["AllowedOrigins"] if like(each, origin)), None)
        allowed = all(any(like(a.lower(), h.lower()) for a in rule.get("AllowedHeaders", [])) for h in asked)
        if pattern is not None and method in rule["AllowedMethods"] and allowed:
            return tuple(_rule_headers(rule, "*" if pattern == "*" else origin, asked))
    return ()


def _rule_headers(rule: Params, origin: str, asked: list[str]) -> Iterator[tuple[str, str]]:
    yield "Access-Control-Allow-Origin", origin
    yield "Access-Control-Allow-Methods", ", ".join(rule["AllowedMethods"])
    if asked:
        yield "Access-Control-Allow-Headers", ", ".join(asked)
    if rule.get("ExposeHeaders"):
        yield "Access-Control-Expose-Headers", ", ".join(rule["ExposeHeaders"])
    if rule.get("MaxAgeSeconds"):
        yield "Access-Control-Max-Age", str(rule["MaxAgeSeconds"])
    yield "Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def _security(config: Params) -> Iterator[tuple[str, str, bool]]:
    if xss := config.get("XSSProtection"):
        block = "; mode=block" if xss.get("ModeBlock") else ""
        yield "X-XSS-Protection", f"1{block}" if xss["Protection"] else "0", xss["Override"]
    if frame := config.get("FrameOptions"):
        yield "X-Frame-Options", frame["FrameOption"], frame["Override"]
    if referrer := config.get("ReferrerPolicy"):
        yield "Referrer-Policy", referrer["ReferrerPolicy"], referrer["Override"]
    if content := config.get("ContentSecurityPolicy"):
        yield "Content-Security-Policy", content["ContentSecurityPolicy"], content["Override"]
    if types := config.get("ContentTypeOptions"):
        yield "X-Content-Type-Options", "nosniff", types["Override"]
    if strict := config.get("StrictTransportSecurity"):
        subdomains = "; includeSubDomains" if strict.get("IncludeSubdomains") else ""
        preload = "; preload" if strict.get("Preload") else ""
        value = f"max-age={strict['AccessControlMaxAgeSec']}{subdomains}{preload}"
        yield "Strict-Transport-Security", value, strict["Override"]


def _cors(config: Params | None, request: Request) -> Iterator[tuple[str, str, bool]]:
    origin = request.header("origin")
    if not config or not origin:
        return
    allowed, override = config["AccessControlAllowOrigins"].get("Items", []), config["OriginOverride"]
    if not any(each == "*" or like(each, origin) or like(each, origin.partition("://")[2]) for each in allowed):
        return
    yield "Access-Control-Allow-Origin", "*" if "*" in allowed else origin, override
    if exposed := config.get("AccessControlExposeHeaders", {}).get("Items", []):
        yield "Access-Control-Expose-Headers", ", ".join(exposed), override
    if config["AccessControlAllowCredentials"]:
        yield "Access-Control-Allow-Credentials", "true", override
    if request.method == "OPTIONS":
        methods = config["AccessControlAllowMethods"].get("Items", [])
        yield "Access-Control-Allow-Methods", ", ".join(_ALL_METHODS if "ALL" in methods else methods), override
        if names := config["AccessControlAllowHeaders"].get("Items", []):
            yield "Access-Control-Allow-Headers", ", ".join(names), override
        if "AccessControlMaxAgeSec" in config:
            yield "Access-Control-Max-Age", str(config["AccessControlMaxAgeSec"]), override
