"""Create AWS clients, each once, on first use, from any thread.

The clients are botocore's, on which boto3 is built: credentials, profiles and endpoints are resolved as in boto3.  What
boto3 adds (transfers, resources) takes a tenth of a second to import and is not used.
"""

from __future__ import annotations

import copy
import os
import platform
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies

import botocore.session
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound
from botocore.httpsession import get_cert_path
from botocore.parsers import ResponseParserError

from orchestrator import __version__
from orchestrator.aws.errors import AwsError, translate
from orchestrator.aws.lazy_session import LazySession
from orchestrator.aws.send_guard import SendGuard

if TYPE_CHECKING:
    from orchestrator.aws.s3_upload import FileUploader
    from orchestrator.vocabulary import Scope

MAX_ATTEMPTS = 8
"""Attempts per call: if 30 % of attempts fail, one call in 15,000 fails."""
UNEXPLAINED_CODES = ("400", "403")
"""All that S3 says about a HEAD request that it refuses."""
OWNER_PARAMETERS = ("ExpectedBucketOwner", "ExpectedSourceBucketOwner")
"""Parameters of S3 that refuse a call (403) if the bucket belongs to another account: names of buckets are global, and
whoever takes a freed name would otherwise be read, or written to, without a complaint."""


class Clients:
    """The clients of one region; credentials and endpoints are resolved as in boto3.

    ``account``: the owner of every bucket, which each call of S3 requires; "" to use buckets of any account.
    ``attempts``: attempts per call, with the delays of botocore's standard retry mode.
    """

    def __init__(self, region: str, *, account: str = "", attempts: int = MAX_ATTEMPTS, connections: int = 64) -> None:
        self.region = region
        self._account = account
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=connections,
            connect_timeout=5,
            read_timeout=60,
            tcp_keepalive=True,
            # CloudTrail shows this.  botocore would build its own for every call, which takes 7 % of its time.
            user_agent=f"orchestrator/{__version__} botocore/{botocore.__version__} {platform.system()}",
        )
        self._lock = threading.Lock()
        self._uploaders: dict[str, FileUploader] = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._signers: dict[str, Any] = {}
        self._reachable_services: set[str] = set()
        self._send_guard = SendGuard()
        self._session = LazySession(region, self._send_guard)
        self._before_send: Callable[[], None] = lambda: None

    @classmethod
    def for_scope(cls, scope: Scope) -> Self:
        """Return clients of the region of ``scope`` that use only buckets of its account."""
        return cls(scope.region, account=scope.account)

    def with_before_send(self, before_send: Callable[[], None]) -> Clients:
        """Return a copy that calls ``before_send`` before each request of each call, retries included.

        It is called in the thread of the request, right before that goes to the socket; an exception from it prevents
        the request and ends the call.
        """
        other = copy.copy(self)
        other._before_send = before_send
        return other

    def with_session(self, credentials: Mapping[str, Any]) -> Clients:
        """Return clients of the same region and account that sign with a session's credentials, as STS returns them."""
        other = type(self)(self.region, account=self._account)
        keys = (credentials[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        other._session.get().set_credentials(*keys)
        return other

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        """Make one API call and return the response.  A ``Body`` that is a Path is streamed from that file.

        Raises AwsError if the call fails, OSError if the file cannot be read.
        """
        try:
            parameters = self._require_bucket_owner(service, region or self.region, operation, parameters)
            with self._send_guard.calling(self._before_send):
                if isinstance(parameters.get("Body"), Path):
                    return self._uploader(region or self.region).put(parameters)
                return self._method(service, region or self.region, operation)(**parameters)
        except (ClientError, BotoCoreError, ResponseParserError, RuntimeError) as error:
            raise self._with_reason(operation, translate(service, operation, error)) from None

    def _with_reason(self, operation: str, error: AwsError) -> AwsError:
        """Return the error of a HEAD request with its reason: S3 sends none (API reference, HeadBucket).

        Everybody may call GetCallerIdentity, so if it fails, the session has expired, or the clock or a key is wrong.
        """
        if not operation.startswith("head_") or error.code not in UNEXPLAINED_CODES:
            return error
        try:
            self.call("sts", "get_caller_identity", {})
        except AwsError as reason:
            return AwsError("s3", operation, reason.code, reason.message, error.request_id)
        return error

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        """Make one API call and return all its pages; an operation without pages returns one.

        Raises AwsError if a call fails.
        """
        try:
            client = self._client(service, region or self.region)
            parameters = self._require_bucket_owner(service, region or self.region, operation, parameters)
            with self._send_guard.calling(self._before_send):
                if not client.can_paginate(operation):
                    return list(_iter_pages(getattr(client, operation), parameters))
                return list(client.get_paginator(operation).paginate(**parameters))
        except (ClientError, BotoCoreError, ResponseParserError, RuntimeError) as error:
            raise translate(service, operation, error) from None

    def presign(self, service: str, operation: str, parameters: dict[str, Any], seconds: int) -> str:
        """Return a presigned URL with which anyone can make one call within ``seconds``.  It is a secret: never log it.

        Raises AwsError if it cannot be signed.
        """
        try:
            with self._lock:
                signer = self._signers.get(service)
                if signer is None:  # botocore's default for S3 is signature version 2, which not all regions accept
                    version = Config(signature_version="s3v4" if service == "s3" else "v4")
                    config = self._config.merge(version)
                    signer = self._session.get().create_client(service, region_name=self.region, config=config)
                    self._signers[service] = signer
            url: str = signer.generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds)
            return url
        except (ClientError, BotoCoreError, ResponseParserError, RuntimeError) as error:
            raise translate(service, operation, error) from None

    def configured_region(self) -> str | None:
        """Return the configured region (environment, profile), or None; of two, the one that differs from ours.

        boto3 ignores AWS_REGION, but the other AWS tools honour it, so whoever sets it expects it to matter.

        Raises AwsError (``NoCredentials``) if the profile does not exist.
        """
        try:
            regions = (self._session.get().get_config_variable("region"), os.environ.get("AWS_REGION"))
        except ProfileNotFound as error:
            raise AwsError("sts", "get_caller_identity", "NoCredentials", str(error)) from None
        return next((region for region in regions if region and region != self.region), regions[0])

    def endpoint(self, service: str) -> str:
        """Return the URL of a service in this region.

        Raises AwsError if it cannot be resolved.
        """
        try:
            return str(self._client(service, self.region).meta.endpoint_url)
        except BotoCoreError as error:
            raise translate(service, "", error) from None

    def check_reachable(self, service: str, operation: str) -> None:
        """Connect to the endpoint of ``service`` once, to detect a missing network before a call with all its retries.

        Raises AwsError (``Unreachable``) if the connection fails.  Does nothing behind a proxy.
        """
        if service in self._reachable_services:
            return
        try:
            endpoint = urlsplit(self._client(service, self.region).meta.endpoint_url)
        except BotoCoreError as error:
            raise translate(service, operation, error) from None
        if getproxies().get(endpoint.scheme):
            return
        try:
            port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
            socket.create_connection((endpoint.hostname, port), timeout=5).close()
        except OSError as error:
            message = f"no response from {endpoint.scheme}://{endpoint.hostname}:{port} ({error})"
            raise AwsError(service, operation, "Unreachable", message) from None
        self._reachable_services.add(service)

    def _uploader(self, region: str) -> FileUploader:
        uploader = self._uploaders.get(region)
        if uploader is None:
            from orchestrator.aws.s3_upload import FileUploader

            client = self._client("s3", region)
            ca_bundle = self._session.get().get_config_variable("ca_bundle") or get_cert_path(True)
            uploader = FileUploader(client, self._frozen_credentials, ca_bundle, self._send_guard.check)
            uploader = self._uploaders.setdefault(region, uploader)
        return uploader

    def _frozen_credentials(self) -> ReadOnlyCredentials | None:
        """Return a consistent set of key and token, refreshed if they expire."""
        credentials = self._session.get().get_credentials()
        return credentials.get_frozen_credentials() if credentials else None

    def _require_bucket_owner(
        self, service: str, region: str, operation: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the parameters of a call, with the owner of the bucket where S3 takes one and they name none."""
        if service != "s3" or not self._account:
            return parameters
        meta = self._client(service, region).meta
        shape = meta.service_model.operation_model(meta.method_to_api_mapping[operation]).input_shape
        owners = {name: self._account for name in OWNER_PARAMETERS if name in shape.members}
        return owners | parameters

    def _method(self, service: str, region: str, operation: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._client(service, region), operation)
        return method

    def _client(self, service: str, region: str) -> Any:
        client = self._clients.get((service, region))
        if client is None:
            with self._lock:  # sessions are not thread-safe, clients are
                client = self._clients.get((service, region))
                if client is None:
                    client = self._session.get().create_client(service, region_name=region, config=self._config)
                    self._send_guard.install(client)
                    self._clients[service, region] = client
        return client


def _iter_pages(method: Callable[..., Any], parameters: dict[str, Any]) -> Iterator[Any]:
    """Yield the pages of an operation without a botocore paginator, such as all of App Runner's."""
    response = method(**parameters)
    yield response
    while following := find_next_page(response):
        response = method(**parameters, **following)
        yield response


def find_next_page(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameter that asks for the page after ``response``, or {} for the last page.

    CloudFront has its marker inside of the list: ``{"FunctionList": {"NextMarker": ...}}``.
    """
    if token := response.get("NextToken"):
        return {"NextToken": token}
    lists = [member for member in response.values() if isinstance(member, Mapping)]
    return next(({"Marker": marker} for member in lists if (marker := member.get("NextMarker"))), {})
