"""One viewer's request, from the Host that names a distribution to the answer, in CloudFront's order.

Protocol, method, viewer-request function, default root object, cache, origin, error response, response headers policy,
viewer-response function.  The gateway speaks plain HTTP, so a request counts as HTTPS unless X-Forwarded-Proto says
``http``: redirect-to-https would otherwise send a browser where nobody listens.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, replace

from orchestrator.emulator.cdn_edge import cache, function_runtime
from orchestrator.emulator.cdn_edge.bucket_policy import like
from orchestrator.emulator.cdn_edge.control_plane import Configuration, Distribution
from orchestrator.emulator.cdn_edge.delivery import delivered, header
from orchestrator.emulator.cdn_edge.error_pages import BLOCKED, FUNCTION, METHOD, cloudfront_error
from orchestrator.emulator.cdn_edge.origin import Fetch, Origins
from orchestrator.emulator.cdn_edge.response_headers import with_policy
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import World
from orchestrator.emulator.services.cloudfront.distribution_config import origins


@dataclass(frozen=True)
class _Visit:
    """A distribution and the behaviour that a path has there, with the cache policy of it."""

    distribution: Distribution
    behaviour: Params
    caching: Params


class Viewer:
    """The edge of one emulator."""

    def __init__(self, world: World, fetch: Fetch) -> None:
        self._configuration = Configuration(world)
        self._origins = Origins(world, self._configuration, fetch)
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Nothing is cached any more."""
        self._cache = cache.Cache()
        self._done: dict[str, set[str]] = {}

    def knows(self, host: str) -> bool:
        """Whether a host (without port) is a distribution's."""
        return self._configuration.distribution(host) is not None

    def handle(self, request: Request) -> Response:
        """Answer one viewer."""
        found = self._configuration.distribution(request.header("host").partition(":")[0])
        if found is None or not found.config["Enabled"]:
            return _signed(cloudfront_error(403, BLOCKED), found)
        try:
            answer = self._answer(found, request)
        except function_runtime.FunctionError as error:
            answer = cloudfront_error(503, f"{FUNCTION} {error}", "FunctionExecutionError")
        except Exception as error:  # noqa: BLE001 - a bug here must not look like a dead gateway
            answer = cloudfront_error(500, f"emulator: {type(error).__name__}: {error}")
        return _signed(answer, found)

    def _answer(self, distribution: Distribution, request: Request) -> Response:
        visit = self._visit(distribution, request.path)
        refused = _refused(visit.behaviour, request)
        if refused is not None:
            return refused
        asked = self._through_function(visit, request)
        if isinstance(asked, Response):
            return self._with_headers(visit, request, asked)
        if asked.path == "/" and distribution.config.get("DefaultRootObject"):
            asked = replace(asked, target=f"/{distribution.config['DefaultRootObject']}{asked.target[1:]}")
        found = self._with_error_page(visit, asked, self._fetched(visit, asked))
        told = self._with_headers(visit, request, delivered(found, asked, visit.behaviour, visit.caching))
        code = self._code(visit, "viewer-response")
        return function_runtime.on_response(code, asked, told, distribution) if code and told.status < 400 else told

    def _visit(self, distribution: Distribution, path: str) -> _Visit:
        """By the first path pattern that fits."""
        config = distribution.config
        others = config.get("CacheBehaviors", {}).get("Items", [])
        fitting = (each for each in others if like(each["PathPattern"].removeprefix("/"), path.removeprefix("/")))
        behaviour = next(fitting, config["DefaultCacheBehavior"])
        legacy = {name: behaviour[name] for name in ("MinTTL", "DefaultTTL", "MaxTTL") if name in behaviour}
        return _Visit(
            distribution, behaviour, self._configuration.policy("CachePolicy", behaviour.get("CachePolicyId")) or legacy
        )

    def _code(self, visit: _Visit, kind: str) -> bytes:
        for each in visit.behaviour.get("FunctionAssociations", {}).get("Items", []):
            if each["EventType"] == kind:
                return self._configuration.function(each["FunctionARN"])
        return b""

    def _through_function(self, visit: _Visit, request: Request) -> Request | Response:
        code = self._code(visit, "viewer-request")
        return function_runtime.on_request(code, request, visit.distribution) if code else request

    def _with_headers(self, visit: _Visit, request: Request, response: Response) -> Response:
        key = visit.behaviour.get("ResponseHeadersPolicyId", "")
        policy = self._configuration.policy("ResponseHeadersPolicy", key)
        return replace(response, headers=with_policy(response.headers, policy, request))

    def _fetched(self, visit: _Visit, request: Request) -> Response:
        """From the cache while that is fresh, or from the origin."""
        if request.method not in ("GET", "HEAD"):
            return _crossed(self._ask(visit, request), "Miss")
        self._invalidate(visit.distribution)
        key = cache.key_of(visit.distribution.id, request, visit.caching)
        kept = self._cache.find(key)
        if kept is not None and kept.fresh:
            aged = replace(kept.response, headers=(*kept.response.headers, ("Age", str(kept.age))))
            return _crossed(aged, "Hit")
        found = self._ask(visit, replace(request, method="GET"))
        self._cache.keep(key, found, self._seconds(visit, found))
        same = kept is not None and found.status == 200 and header(kept.response, "etag") == header(found, "etag")
        return _crossed(found, "RefreshHit" if same else "Miss")

    def _seconds(self, visit: _Visit, response: Response) -> float:
        if visit.caching.get("MaxTTL") == 0:
            return 0.0
        if response.status < 400:
            return cache.seconds_to_keep(response, visit.caching)
        return cache.error_seconds(response, _custom_error(visit.distribution, response.status))

    def _ask(self, visit: _Visit, request: Request) -> Response:
        config, wanted = visit.distribution.config, visit.behaviour["TargetOriginId"]
        for group in config.get("OriginGroups", {}).get("Items", []):
            if group["Id"] == wanted:
                wanted = group["Members"]["Items"][0]["OriginId"]
        origin = next(each for each in origins(config) if each["Id"] == wanted)
        key = visit.behaviour.get("OriginRequestPolicyId", "")
        policy = self._configuration.policy("OriginRequestPolicy", key)
        cached = visit.caching.get("ParametersInCacheKeyAndForwardedToOrigin", {})
        configs = [each.get("QueryStringsConfig", {}) for each in (policy, cached)]
        query = next((text for text in (cache.selected_query(request, each) for each in configs) if text), "")
        target = request.path + (f"?{query}" if query else "")
        return self._origins.ask(origin, replace(request, target=target), visit.distribution)

    def _invalidate(self, distribution: Distribution) -> None:
        """Drop what invalidations that have completed since name."""
        with self._lock:
            known = self._done.setdefault(distribution.id, set())
            try:
                for key, paths in self._configuration.invalidations(distribution.id, known):
                    self._cache.drop(distribution.id, paths)
                    known.add(key)
            except AwsError:
                return  # the distribution went just now

    def _with_error_page(self, visit: _Visit, request: Request, response: Response) -> Response:
        custom = _custom_error(visit.distribution, response.status)
        if custom is None or not custom.get("ResponsePagePath"):
            return response
        page = replace(request, method="GET", target=custom["ResponsePagePath"])
        found = self._fetched(self._visit(visit.distribution, page.path), page)
        if found.status != 200:
            return response
        return replace(found, status=int(custom.get("ResponseCode") or response.status))


def _refused(behaviour: Params, request: Request) -> Response | None:
    """By the viewer protocol policy or the allowed methods."""
    if request.header("x-forwarded-proto").lower() == "http":
        rule = behaviour["ViewerProtocolPolicy"]
        if rule == "redirect-to-https":
            where = ("Location", f"https://{request.header('host')}{request.target}")
            return Response(301, (where, ("Server", "CloudFront"), ("X-Cache", "Redirect from cloudfront")))
        if rule == "https-only":
            return cloudfront_error(403, "Bad request.")
    allowed = behaviour.get("AllowedMethods", {}).get("Items", ["GET", "HEAD"])
    return None if request.method in allowed else cloudfront_error(403, METHOD)


def _custom_error(distribution: Distribution, status: int) -> Params | None:
    found = distribution.config.get("CustomErrorResponses", {}).get("Items", [])
    return next((each for each in found if int(each["ErrorCode"]) == status), None)


def _crossed(response: Response, how: str) -> Response:
    """With what CloudFront says of its cache; an error is called one, cached or not."""
    said = "Error" if response.status >= 400 else how
    kept = tuple(pair for pair in response.headers if pair[0].lower() != "x-cache")
    return replace(response, headers=(*kept, ("X-Cache", f"{said} from cloudfront")))


def _signed(response: Response, distribution: Distribution | None) -> Response:
    host = distribution.domain if distribution else "unknown.cloudfront.net"
    via = (("Via", f"1.1 {host} (CloudFront)"), ("X-Amz-Cf-Id", uuid.uuid4().hex), ("X-Amz-Cf-Pop", "LOCAL0-C1"))
    return replace(response, headers=(*response.headers, *via))
