"""ECR's image rules: digests are the manifest's, immutable tags stay, scans and what MiniStack lacks."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.image_registry.registry import login
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World

_BASIC: Params = {"scanType": "BASIC", "rules": []}


class Ecr(Service):
    """Corrections to images, tag mutability and scanning, on either backend."""

    service = "ecr"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._filters: dict[tuple[str, str], list[Params]] = {}
        self._scanned: dict[tuple[str, str, str], datetime] = {}
        self._scanning: dict[str, Params] = {}
        self._referrers: dict[tuple[str, str, str], Params] = {}

    def put_image(self, params: Params, context: Context) -> Params:
        """ImageAlreadyExistsException for the same again, ImageTagAlreadyExistsException for an immutable tag."""
        name, tag = params["repositoryName"], params.get("imageTag")
        digest = f"sha256:{hashlib.sha256(params['imageManifest'].encode()).hexdigest()}"
        if params.get("imageDigest", digest) != digest:
            raise AwsError("ImageDigestDoesNotMatchException", f"The digest of the manifest is {digest}.")
        repository = self._repository(name, context)
        for image in self._call(context, "DescribeImages", repositoryName=name)["imageDetails"]:
            tagged, same = tag in image.get("imageTags", []), image["imageDigest"] == digest
            if same and (tagged or tag is None):
                message = f"Image with digest '{digest}' and tag '{tag}' already exists in the repository '{name}'."
                raise AwsError("ImageAlreadyExistsException", message)
            if tagged and self._is_immutable(repository, str(tag), context):
                message = f"The image tag '{tag}' already exists in the '{name}' repository and is immutable."
                raise AwsError("ImageTagAlreadyExistsException", message)
        answer = context.forward({**params, "imageDigest": digest})
        if told := _referrer(params["imageManifest"], digest):
            self._referrers[context.region, name, digest] = told
        if repository["imageScanningConfiguration"].get("scanOnPush"):
            self._scanned[context.region, name, digest] = datetime.now(UTC)
        return answer

    def describe_images(self, params: Params, context: Context) -> Params:
        """An image asked for and not there is ImageNotFoundException."""
        found = context.forward(params)
        for wanted in params.get("imageIds", []):
            if not any(_is(wanted, image) for image in found["imageDetails"]):
                message = (
                    f"The image with imageId {wanted} does not exist within the repository '{params['repositoryName']}'"
                )
                raise AwsError("ImageNotFoundException", message)
        images = [
            {**image, **self._refers(params["repositoryName"], image, context)} for image in found["imageDetails"]
        ]
        return {**found, "imageDetails": images}

    def list_image_referrers(self, params: Params, context: Context) -> Params:
        """What was pushed with one image as its subject, such as an SBOM, and is still there."""
        name, wanted = params["repositoryName"], params["subjectId"]["imageDigest"]
        details = self._call(context, "DescribeImages", repositoryName=name)["imageDetails"]
        known = (self._referrers.get((context.region, name, image["imageDigest"])) for image in details)
        found = [one for one in known if one and one["subject"] == wanted]
        return {"referrers": [{key: one[key] for key in one if key != "subject"} for one in found]}

    def create_repository(self, params: Params, context: Context) -> Params:
        """Keeps the filters of tags exempt from immutability."""
        answer = context.forward(params)
        self._filters[context.region, params["repositoryName"]] = params.get("imageTagMutabilityExclusionFilters", [])
        return {"repository": self._with_filters(answer["repository"], context)}

    def put_image_tag_mutability(self, params: Params, context: Context) -> Params:
        """Likewise."""
        answer = context.forward(params)
        filters = params.get("imageTagMutabilityExclusionFilters", [])
        self._filters[context.region, params["repositoryName"]] = filters
        return {**answer, **({"imageTagMutabilityExclusionFilters": filters} if filters else {})}

    def describe_repositories(self, params: Params, context: Context) -> Params:
        """With the filters."""
        answer = context.forward(params)
        return {**answer, "repositories": [self._with_filters(each, context) for each in answer["repositories"]]}

    def start_image_scan(self, params: Params, context: Context) -> Params:
        """A basic scan, done at once, that finds nothing."""
        image = self._image(params, context)
        self._scanned[context.region, params["repositoryName"], image["imageDigest"]] = datetime.now(UTC)
        return {**self._identity(params, image), "imageScanStatus": {"status": "IN_PROGRESS"}}

    def describe_image_scan_findings(self, params: Params, context: Context) -> Params:
        """ScanNotFoundException until one was started."""
        image = self._image(params, context)
        done = self._scanned.get((context.region, params["repositoryName"], image["imageDigest"]))
        if done is None:
            message = f"Image scan does not exist for the image with '{params['imageId']}'"
            raise AwsError("ScanNotFoundException", message)
        findings = {"imageScanCompletedAt": done, "vulnerabilitySourceUpdatedAt": done, "findings": []}
        return {
            **self._identity(params, image),
            "imageScanStatus": {"status": "COMPLETE", "description": "The scan was completed successfully."},
            "imageScanFindings": {**findings, "findingSeverityCounts": {}},
        }

    def get_registry_scanning_configuration(self, params: Params, context: Context) -> Params:
        """Basic scanning without rules, unless set."""
        configuration = self._scanning.get(context.region, _BASIC)
        return {"registryId": self.world.account, "scanningConfiguration": configuration}

    def put_registry_scanning_configuration(self, params: Params, context: Context) -> Params:
        """Set it."""
        configuration = {"scanType": params.get("scanType", "BASIC"), "rules": params.get("rules", [])}
        self._scanning[context.region] = configuration
        return {"registryScanningConfiguration": configuration}

    def batch_get_repository_scanning_configuration(self, params: Params, context: Context) -> Params:
        """By the repositories' own setting."""
        found = self._call(context, "DescribeRepositories", repositoryNames=params["repositoryNames"])
        shapes = []
        for each in found["repositories"]:
            on_push = each["imageScanningConfiguration"]["scanOnPush"]
            shapes.append(
                {
                    "repositoryArn": each["repositoryArn"],
                    "repositoryName": each["repositoryName"],
                    "scanOnPush": on_push,
                    "scanFrequency": "SCAN_ON_PUSH" if on_push else "MANUAL",
                    "appliedScanFilters": [],
                }
            )
        return {"scanningConfigurations": shapes, "failures": []}

    def get_authorization_token(self, params: Params, context: Context) -> Params:
        """Valid for twelve hours, and for the registry of this emulator, at the address that the caller knows it by."""
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=12)
        host = context.request.header("host", "127.0.0.1")
        data = {"authorizationToken": login(self.world, context.region), "proxyEndpoint": f"http://{host}"}
        return {"authorizationData": [{**data, "expiresAt": expires}]}

    def _refers(self, repository: str, image: Params, context: Context) -> Params:
        """What DescribeImages adds for what refers to an image."""
        told = self._referrers.get((context.region, repository, image["imageDigest"]))
        return {"artifactMediaType": told["artifactType"], "subjectManifestDigest": told["subject"]} if told else {}

    def _repository(self, name: str, context: Context) -> Params:
        found: Params = self._call(context, "DescribeRepositories", repositoryNames=[name])["repositories"][0]
        return found

    def _with_filters(self, repository: Params, context: Context) -> Params:
        filters = self._filters.get((context.region, repository["repositoryName"]), [])
        return {**repository, **({"imageTagMutabilityExclusionFilters": filters} if filters else {})}

    def _is_immutable(self, repository: Params, tag: str, context: Context) -> bool:
        filters = self._filters.get((context.region, repository["repositoryName"]), [])
        exempt = any(fnmatchcase(tag, each["filter"]) for each in filters)
        mutability = repository["imageTagMutability"]
        if mutability.endswith("_WITH_EXCLUSION"):
            exclusive: bool = (mutability == "IMMUTABLE_WITH_EXCLUSION") != exempt
            return exclusive
        immutable: bool = mutability == "IMMUTABLE"
        return immutable

    def _image(self, params: Params, context: Context) -> Params:
        found = self._call(context, "DescribeImages", repositoryName=params["repositoryName"])["imageDetails"]
        image: Params | None = next((each for each in found if _is(params["imageId"], each)), None)
        if image is None:
            raise AwsError("ImageNotFoundException", f"The image with imageId {params['imageId']} does not exist")
        return image

    def _identity(self, params: Params, image: Params) -> Params:
        identity = {**params["imageId"], "imageDigest": image["imageDigest"]}
        return {"registryId": self.world.account, "repositoryName": params["repositoryName"], "imageId": identity}

    def _call(self, context: Context, operation: str, **params: Any) -> Params:
        return self.world.call("ecr", operation, context.region, **params)


def _is(wanted: Params, image: Params) -> bool:
    """Whether an image is the one an imageId names."""
    by_digest = wanted.get("imageDigest") in (None, image["imageDigest"])
    return by_digest and wanted.get("imageTag") in (None, *image.get("imageTags", []))


def _referrer(text: str, digest: str) -> Params | None:
    """What ListImageReferrers tells of a manifest, and the digest of its ``subject``; None for one without."""
    manifest = json.loads(text)
    if not (subject := manifest.get("subject")):
        return None
    kind = manifest.get("artifactType") or manifest["config"]["mediaType"]
    told = {"digest": digest, "mediaType": manifest["mediaType"], "artifactType": kind, "size": len(text.encode())}
    return {**told, "annotations": manifest.get("annotations", {}), "subject": subject["digest"]}
