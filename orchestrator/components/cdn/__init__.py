"""Expand a Cdn into a CloudFront distribution with its origin access control, function and headers policy.  Pure.

Deep links and the pages for unknown paths are served by a function on the behaviours of sites, never by error
responses: those apply to the whole distribution and would turn a missing model file, or a 404 of the API, into a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator import ownership_tags
from orchestrator.components import Grant, Stack
from orchestrator.components.cdn.checks import check
from orchestrator.components.cdn.routing_function import write_function
from orchestrator.components.cdn.sites import ServedSite, covers, list_sites
from orchestrator.problems import Problems
from orchestrator.values import Ref, TemplateString, Value, WriteOnly
from orchestrator.vocabulary import Component, Resource, Scope

PRICE_CLASSES = {"europe": "PriceClass_100", "asia": "PriceClass_200", "world": "PriceClass_All"}
# Ids of the policies that AWS manages, from the CloudFront developer guide.
CACHE_POLICY_IDS = {
    "optimized": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "disabled": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
}
ALL_VIEWER_EXCEPT_HOST_POLICY_ID = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
CORS_S3_ORIGIN_POLICY_ID = "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf"
CORS_HEADERS_POLICY_ID = "5cc3b908-e619-4b99-88e5-2cf7f45965bd"
SECURITY_HEADERS_POLICY_ID = "67f7725c-6f97-4210-82d7-5512b31e9d03"
CORS_AND_SECURITY_HEADERS_POLICY_ID = "eaab4381-ed33-4a86-88ca-d9558dc6cd63"

READ_METHODS = ["GET", "HEAD"]
PREFLIGHT_METHODS = [*READ_METHODS, "OPTIONS"]
ALL_METHODS = [*PREFLIGHT_METHODS, "PUT", "POST", "PATCH", "DELETE"]

__all__ = ["check", "expand", "exports", "grants", "notes"]


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Return the resources that the distribution uses, then the distribution."""
    spec, scope = component.spec, stack.scope
    ownership_comment = ownership_tags.format_ownership_comment(scope, component.handle)
    specs: dict[str, Mapping[str, Value]] = {}
    if any(_is_bucket(handle) for handle in _list_origins(component)):
        specs["cloudfront_oac"] = {
            "description": ownership_comment,
            "origin_type": "s3",
            "signing_behavior": "always",
            "signing_protocol": "sigv4",
        }
    sites = list_sites(component, stack.components, stack.artefacts)
    if any(map(_needs_function, sites)):
        specs["cloudfront_function"] = _function_spec(component, sites, ownership_comment)
    if isinstance(spec["securityHeaders"], Mapping):
        specs["cloudfront_headers"] = {"comment": ownership_comment, **_headers_policy_spec(spec["securityHeaders"])}
    specs["cloudfront_distribution"] = _distribution_spec(component, stack, sites)
    buckets = frozenset(f"s3_{handle}" for handle in _list_origins(component) if _is_bucket(handle))
    physical = scope.name_of(component)
    return [
        Resource(
            resource_type,
            component.name,
            physical,
            resource_spec,
            component.handle,
            component.where,
            buckets if resource_type == "cloudfront_distribution" else frozenset(),
            component.adopt,
        )
        for resource_type, resource_spec in specs.items()
    ]


def exports(component: Component, scope: Scope) -> dict[str, Value]:
    """Return its domain, URL and id; the domain is final only if there is an alias."""
    address = f"cloudfront_distribution.{component.name}"
    aliases = component.spec["aliases"]
    domain = aliases[0] if aliases else Ref(address, "domain")
    return {"domain": domain, "url": _join_text("https://", domain), "id": Ref(address, "id")}


def grants(component: Component, scope: Scope) -> Iterator[Grant]:
    """Yield a read grant for the served part of each bucket, with the distribution to invalidate on changes."""
    address = f"cloudfront_distribution.{component.name}"
    distribution = {"distribution_arn": Ref(address, "arn"), "distribution_id": Ref(address, "id")}
    patterns = [(component.spec["origin"], "*")]
    patterns += [(_path_origin(path, component), path["pattern"].removeprefix("/")) for path in component.spec["paths"]]
    whole_bucket_handles = {handle for handle, pattern in patterns if pattern == "*"}
    for handle, pattern in dict.fromkeys(patterns):
        if _is_bucket(handle) and (pattern == "*" or handle not in whole_bucket_handles):
            yield Grant(handle, component.handle, "cdn-read", {**distribution, "pattern": pattern})


def notes(component: Component, stack: Stack) -> Iterator[str]:
    """Yield the static sites with more pages than the function can list."""
    sites = list_sites(component, stack.components, stack.artefacts)
    for handle in write_function(sites, component.spec["index"]).unlisted if sites else ():
        yield (
            f"{handle}: the site has too many pages for the CloudFront function of {component.handle}, so unknown "
            "paths return S3's error message (status 404) instead of the site's own page."
        )


def _function_spec(component: Component, sites: tuple[ServedSite, ...], comment: str) -> dict[str, Value]:
    """Return the function; what a site that is not built yet has is unknown, and then not compared.

    Raises Problems if the code is larger than CloudFront allows.
    """
    function = write_function(sites, component.spec["index"])
    if not function.is_within_limit:
        message = "the redirects and the files without an extension exceed the 10 KB limit of a CloudFront function"
        hint = "remove some redirects or files, or combine several redirects into one with `*`"
        raise Problems.from_message(f"{component.handle}: {message}", where=component.where, hint=hint)
    is_known = all(site.files for site in sites if site.is_shipped)
    return {
        "comment": comment,
        "runtime": "cloudfront-js-2.0",
        "code": function.program,
        "data": function.data if is_known else WriteOnly(function.data),
    }


def _needs_function(site: ServedSite) -> bool:
    return site.rewrites or bool(site.redirects or site.prefix or site.options.needs_response_function)


def _is_bucket(handle: str) -> bool:
    return handle.startswith("bucket.")


def _path_origin(path: Mapping[str, Value], component: Component) -> str:
    return str(path.get("origin") or component.spec["origin"])


def _list_origins(component: Component) -> list[str]:
    """Return every origin once, the default origin first."""
    handles = [component.spec["origin"], *(_path_origin(path, component) for path in component.spec["paths"])]
    return list(dict.fromkeys(handles))


def _distribution_spec(component: Component, stack: Stack, sites: tuple[ServedSite, ...]) -> dict[str, Value]:
    spec, scope = component.spec, stack.scope
    certificate = {"arn": spec["certificate"], "minimum_tls": spec["minimumTls"]} if "certificate" in spec else None
    distribution = {
        "comment": ownership_tags.format_ownership_comment(scope, component.handle),
        "enabled": spec["enabled"],
        "aliases": spec["aliases"],
        "certificate": certificate,
        "root_object": spec["index"] if _is_bucket(spec["origin"]) else "",
        "price_class": PRICE_CLASSES[spec["priceClass"]],
        "http_version": spec["httpVersion"],
        "ipv6": spec["ipv6"],
        "origins": {stack.aws_handle(name): _origin_spec(name, component, stack) for name in _list_origins(component)},
        "default_behaviour": _with_origin_id(_default_behaviour_spec(component, sites), stack),
        "behaviours": {
            path["pattern"]: _with_origin_id(_path_behaviour_spec(path, component, sites), stack)
            for path in spec["paths"]
        },
        "order": [path["pattern"] for path in spec["paths"]],
        "tags": {**spec["tags"], **ownership_tags.build_ownership_tags(scope, component.handle)},
    }
    if "distributionId" in spec:
        distribution["distribution_id"] = WriteOnly(spec["distributionId"])
    if "firewall" in spec:
        distribution["waf"] = "" if spec["firewall"] == "none" else spec["firewall"]
    if "geo" in spec:
        distribution["geo"] = dict(spec["geo"])
    if "logs" in spec:
        is_off = spec["logs"]["bucket"] == "none"
        distribution["logging"] = {"bucket": "", "prefix": "", "cookies": False} if is_off else dict(spec["logs"])
    return distribution


def _with_origin_id(behaviour: Mapping[str, Value], stack: Stack) -> dict[str, Value]:
    """Return the behaviour with the id of its origin, which is the origin's handle before it was renamed."""
    return {**behaviour, "origin": stack.aws_handle(behaviour["origin"])}


def _origin_spec(handle: str, component: Component, stack: Stack) -> dict[str, Value]:
    """Return the origin: a bucket is read with signed requests, a service over HTTPS."""
    if _is_bucket(handle):
        access_control = Ref(f"cloudfront_oac.{component.name}", "id")
        return {"domain": stack.get_export(handle, "domain"), "path": "", "access_control": access_control}
    return {"domain": stack.get_export(handle, "host"), "path": "", "access_control": None}


def _default_behaviour_spec(component: Component, sites: tuple[ServedSite, ...]) -> dict[str, Value]:
    spec = component.spec
    behaviour = _base_behaviour_spec(spec["origin"], None, component)
    # Also without a site of its own: /admin leads to /admin/, which another behaviour serves.
    needs_function = any(_needs_function(site) and (site.handle == spec["origin"] or site.prefix) for site in sites)
    return {
        **behaviour,
        "compress": spec["compress"],
        "headers_policy": _headers_policy(component),
        **_functions(component, behaviour["origin"], sites, on_request=needs_function),
    }


def _path_behaviour_spec(
    path: Mapping[str, Value], component: Component, sites: tuple[ServedSite, ...]
) -> dict[str, Value]:
    """Return the behaviour of one path; it has no deep links, unless a site is served below it."""
    behaviour = _base_behaviour_spec(_path_origin(path, component), path.get("cache"), component)
    behaviour["compress"] = path["compress"] and component.spec["compress"]
    has_site = any(site.handle == behaviour["origin"] and covers(path["pattern"], site) for site in sites)
    behaviour |= _functions(component, behaviour["origin"], sites, on_request=has_site)
    if not path["cors"]:
        return {**behaviour, "headers_policy": _headers_policy(component)}
    if _is_bucket(behaviour["origin"]):
        behaviour |= {"methods": PREFLIGHT_METHODS, "request_policy": CORS_S3_ORIGIN_POLICY_ID}
    policy = CORS_AND_SECURITY_HEADERS_POLICY_ID if component.spec["securityHeaders"] else CORS_HEADERS_POLICY_ID
    return {**behaviour, "headers_policy": policy}


def _headers_policy(component: Component) -> Value:
    if isinstance(component.spec["securityHeaders"], Mapping):
        return Ref(f"cloudfront_headers.{component.name}", "id")
    return SECURITY_HEADERS_POLICY_ID if component.spec["securityHeaders"] else None


def _functions(
    component: Component, origin: Value, sites: tuple[ServedSite, ...], *, on_request: bool
) -> dict[str, Value]:
    """Return the functions of a behaviour.  What answers of buckets without a site pass through is not managed."""
    function = Ref(f"cloudfront_function.{component.name}", "arn")
    site = next((site for site in sites if site.handle == origin), None)
    functions: dict[str, Value] = {"viewer_request": function if on_request else None}
    if site is not None and site.is_shipped and site.needs_response_function is not None:
        functions["viewer_response"] = function if site.needs_response_function else None
    return functions


def _base_behaviour_spec(origin: str, cache: str | None, component: Component) -> dict[str, Value]:
    """Return the shared settings: files of a bucket are read-only and cached, a service gets every request."""
    is_bucket = _is_bucket(origin)
    return {
        "origin": origin,
        "viewer_protocol": _viewer_protocol(component.spec),
        "methods": READ_METHODS if is_bucket else ALL_METHODS,
        "cache_policy": CACHE_POLICY_IDS[cache or ("optimized" if is_bucket else "disabled")],
        "request_policy": None if is_bucket else ALL_VIEWER_EXCEPT_HOST_POLICY_ID,
        "viewer_request": None,
    }


def _viewer_protocol(spec: Mapping[str, Value]) -> str:
    if not spec["httpsOnly"]:
        return "allow-all"
    return "redirect-to-https" if spec["httpRedirect"] else "https-only"


def _headers_policy_spec(spec: Mapping[str, Value]) -> dict[str, Value]:
    strict_transport = spec["strictTransport"]
    custom = dict(spec["custom"])
    if "permissions" in spec:
        custom["Permissions-Policy"] = spec["permissions"]
    return {
        "hsts": {
            "max_age": strict_transport["maxAgeSeconds"],
            "subdomains": strict_transport["includeSubdomains"],
            "preload": strict_transport["preload"],
        },
        "csp": spec.get("contentSecurityPolicy"),
        "frame": spec["frames"],
        "referrer": spec["referrer"],
        "custom": [{"name": name, "value": value} for name, value in custom.items()],
        "remove": spec["remove"],
    }


def _join_text(*parts: Value) -> Value:
    """Return the parts as plain text if every part is plain, else as a TemplateString."""
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    return TemplateString(parts)
