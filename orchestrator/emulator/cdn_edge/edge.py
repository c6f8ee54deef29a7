"""Answer one viewer's request, from the Host that names a distribution to the response, in CloudFront's order.

Protocol, method, viewer-request function, default root object, cache, origin, error response, response headers policy,
viewer-response function. The gateway speaks plain HTTP, so a request counts as HTTPS unless X-Forwarded-Proto says
``http``: otherwise redirect-to-https would send a browser to a port where nothing listens.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, replace

from orchestrator.emulator.cdn_edge import cache, function_runtime
from orchestrator.emulator.cdn_edge.bucket_policy import matches_wildcard
from orchestrator.emulator.cdn_edge.control_plane import ControlPlane, Distribution
from orchestrator.emulator.cdn_edge.custom_errors import (
    BLOCKED_REASON,
    FUNCTION_FAILED_REASON,
    METHOD_NOT_ALLOWED_REASON,
    cloudfront_error_response,
)
from orchestrator.emulator.cdn_edge.delivery import deliver, get_header
from orchestrator.emulator.cdn_edge.origin import Dispatch, OriginClient
from orchestrator.emulator.cdn_edge.response_headers import apply_policy
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import EmulatorState
from orchestrator.emulator.services.cloudfront.distribution_config import list_origins


@dataclass(frozen=True)
class _Route:
    """A distribution, the cache behaviour for a path, and its cache policy."""

    distribution: Distribution
    behaviour: Params
    cache_policy: Params


class Edge:
    """The edge of one emulator."""

    def __init__(self, state: EmulatorState, dispatch: Dispatch) -> None:
        self._control_plane = ControlPlane(state)
        self._origin_client = OriginClient(state, self._control_plane, dispatch)
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Empty the cache."""
        self._cache = cache.Cache()
        self._applied_invalidations: dict[str, set[str]] = {}

    def serves_host(self, host: str) -> bool:
        """Return whether a host (without port) belongs to a distribution."""
        return self._control_plane.find_distribution(host) is not None

    def handle(self, request: Request) -> Response:
        """Answer one viewer."""
        distribution = self._control_plane.find_distribution(request.header("host").partition(":")[0])
        if distribution is None or not distribution.config["Enabled"]:
            return _add_edge_headers(cloudfront_error_response(403, BLOCKED_REASON), distribution)
        try:
            response = self._respond(distribution, request)
        except function_runtime.FunctionError as error:
            response = cloudfront_error_response(503, f"{FUNCTION_FAILED_REASON} {error}", "FunctionExecutionError")
        except Exception as error:  # noqa: BLE001 - a bug here must not look like a dead gateway
            response = cloudfront_error_response(500, f"emulator: {type(error).__name__}: {error}")
        return _add_edge_headers(response, distribution)

    def _respond(self, distribution: Distribution, request: Request) -> Response:
        route = self._find_route(distribution, request.path)
        rejection = _check_request(route.behaviour, request)
        if rejection is not None:
            return rejection
        origin_request = self._run_request_function(route, request)
        if isinstance(origin_request, Response):
            return self._apply_headers_policy(route, request, origin_request)
        if origin_request.path == "/" and distribution.config.get("DefaultRootObject"):
            origin_request = replace(
                origin_request, target=f"/{distribution.config['DefaultRootObject']}{origin_request.target[1:]}"
            )
        response = self._apply_error_page(route, origin_request, self._fetch(route, origin_request))
        viewer_response = self._apply_headers_policy(
            route, request, deliver(response, origin_request, route.behaviour, route.cache_policy)
        )
        code = self._function_code(route, "viewer-response")
        return (
            function_runtime.run_viewer_response(code, origin_request, viewer_response, distribution)
            if code and viewer_response.status < 400
            else viewer_response
        )

    def _find_route(self, distribution: Distribution, path: str) -> _Route:
        """Return the route of a path, by the first path pattern that matches."""
        config = distribution.config
        path_behaviours = config.get("CacheBehaviors", {}).get("Items", [])
        matching = (
            path_behaviour
            for path_behaviour in path_behaviours
            if matches_wildcard(path_behaviour["PathPattern"].removeprefix("/"), path.removeprefix("/"))
        )
        behaviour = next(matching, config["DefaultCacheBehavior"])
        legacy_ttls = {name: behaviour[name] for name in ("MinTTL", "DefaultTTL", "MaxTTL") if name in behaviour}
        return _Route(
            distribution,
            behaviour,
            self._control_plane.get_policy("CachePolicy", behaviour.get("CachePolicyId")) or legacy_ttls,
        )

    def _function_code(self, route: _Route, event_type: str) -> bytes:
        for association in route.behaviour.get("FunctionAssociations", {}).get("Items", []):
            if association["EventType"] == event_type:
                return self._control_plane.get_function_code(association["FunctionARN"])
        return b""

    def _run_request_function(self, route: _Route, request: Request) -> Request | Response:
        code = self._function_code(route, "viewer-request")
        return function_runtime.run_viewer_request(code, request, route.distribution) if code else request

    def _apply_headers_policy(self, route: _Route, request: Request, response: Response) -> Response:
        policy_id = route.behaviour.get("ResponseHeadersPolicyId", "")
        policy = self._control_plane.get_policy("ResponseHeadersPolicy", policy_id)
        return replace(response, headers=apply_policy(response.headers, policy, request))

    def _fetch(self, route: _Route, request: Request) -> Response:
        """Return a response from the cache while it is fresh, else from the origin."""
        if request.method not in ("GET", "HEAD"):
            return _add_cache_status(self._fetch_from_origin(route, request), "Miss")
        self._apply_invalidations(route.distribution)
        key = cache.build_key(route.distribution.id, request, route.cache_policy)
        entry = self._cache.get(key)
        if entry is not None and entry.is_fresh:
            cached_response = replace(
                entry.response, headers=(*entry.response.headers, ("Age", str(entry.age_seconds)))
            )
            return _add_cache_status(cached_response, "Hit")
        response = self._fetch_from_origin(route, replace(request, method="GET"))
        self._cache.put(key, response, self._ttl_seconds(route, response))
        is_unchanged = (
            entry is not None
            and response.status == 200
            and get_header(entry.response, "etag") == get_header(response, "etag")
        )
        return _add_cache_status(response, "RefreshHit" if is_unchanged else "Miss")

    def _ttl_seconds(self, route: _Route, response: Response) -> float:
        if route.cache_policy.get("MaxTTL") == 0:
            return 0.0
        if response.status < 400:
            return cache.compute_ttl(response, route.cache_policy)
        return cache.compute_error_ttl(response, _find_custom_error(route.distribution, response.status))

    def _fetch_from_origin(self, route: _Route, request: Request) -> Response:
        config, origin_id = route.distribution.config, route.behaviour["TargetOriginId"]
        for group in config.get("OriginGroups", {}).get("Items", []):
            if group["Id"] == origin_id:
                origin_id = group["Members"]["Items"][0]["OriginId"]
        origin = next(item for item in list_origins(config) if item["Id"] == origin_id)
        policy_id = route.behaviour.get("OriginRequestPolicyId", "")
        policy = self._control_plane.get_policy("OriginRequestPolicy", policy_id)
        cache_key_params = route.cache_policy.get("ParametersInCacheKeyAndForwardedToOrigin", {})
        query_configs = [item.get("QueryStringsConfig", {}) for item in (policy, cache_key_params)]
        query = next(
            (selected for selected in (cache.select_query(request, item) for item in query_configs) if selected), ""
        )
        target = request.path + (f"?{query}" if query else "")
        return self._origin_client.get_response(origin, replace(request, target=target), route.distribution)

    def _apply_invalidations(self, distribution: Distribution) -> None:
        """Drop what invalidations completed since the last request name."""
        with self._lock:
            applied_ids = self._applied_invalidations.setdefault(distribution.id, set())
            try:
                for invalidation_id, paths in self._control_plane.list_completed_invalidations(
                    distribution.id, applied_ids
                ):
                    self._cache.invalidate(distribution.id, paths)
                    applied_ids.add(invalidation_id)
            except AwsError:
                return  # the distribution was deleted in the meantime

    def _apply_error_page(self, route: _Route, request: Request, response: Response) -> Response:
        custom_error = _find_custom_error(route.distribution, response.status)
        if custom_error is None or not custom_error.get("ResponsePagePath"):
            return response
        page_request = replace(request, method="GET", target=custom_error["ResponsePagePath"])
        page_response = self._fetch(self._find_route(route.distribution, page_request.path), page_request)
        if page_response.status != 200:
            return response
        return replace(page_response, status=int(custom_error.get("ResponseCode") or response.status))


def _check_request(behaviour: Params, request: Request) -> Response | None:
    """Return the refusal of the viewer protocol policy or the allowed methods, or None."""
    if request.header("x-forwarded-proto").lower() == "http":
        protocol_policy = behaviour["ViewerProtocolPolicy"]
        if protocol_policy == "redirect-to-https":
            location = ("Location", f"https://{request.header('host')}{request.target}")
            return Response(301, (location, ("Server", "CloudFront"), ("X-Cache", "Redirect from cloudfront")))
        if protocol_policy == "https-only":
            return cloudfront_error_response(403, "Bad request.")
    allowed_methods = behaviour.get("AllowedMethods", {}).get("Items", ["GET", "HEAD"])
    return None if request.method in allowed_methods else cloudfront_error_response(403, METHOD_NOT_ALLOWED_REASON)


def _find_custom_error(distribution: Distribution, status: int) -> Params | None:
    custom_errors = distribution.config.get("CustomErrorResponses", {}).get("Items", [])
    return next((custom_error for custom_error in custom_errors if int(custom_error["ErrorCode"]) == status), None)


def _add_cache_status(response: Response, cache_status: str) -> Response:
    """Return the response with its X-Cache header; an error is labelled so, cached or not."""
    label = "Error" if response.status >= 400 else cache_status
    headers = tuple(pair for pair in response.headers if pair[0].lower() != "x-cache")
    return replace(response, headers=(*headers, ("X-Cache", f"{label} from cloudfront")))


def _add_edge_headers(response: Response, distribution: Distribution | None) -> Response:
    host = distribution.domain if distribution else "unknown.cloudfront.net"
    edge_headers = (
        ("Via", f"1.1 {host} (CloudFront)"),
        ("X-Amz-Cf-Id", uuid.uuid4().hex),
        ("X-Amz-Cf-Pop", "LOCAL0-C1"),
    )
    return replace(response, headers=(*response.headers, *edge_headers))
