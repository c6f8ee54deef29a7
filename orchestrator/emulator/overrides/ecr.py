"""Override ECR images: digests from the manifest, immutable tags, scans, referrers."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.image_registry.distribution_api import encode_authorization_token
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service

_DEFAULT_SCANNING: Params = {"scanType": "BASIC", "rules": []}


class Ecr(Service):
    """Overrides images, tag mutability and scanning, on both backends."""

    service = "ecr"

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._exclusion_filters: dict[tuple[str, str], list[Params]] = {}
        self._scanned_at: dict[tuple[str, str, str], datetime] = {}
        self._scanning_configurations: dict[str, Params] = {}
        self._referrers: dict[tuple[str, str, str], Params] = {}

    def put_image(self, params: Params, context: CallContext) -> Params:
        """Store an image; refuse an existing image or an immutable tag, each with AWS's own error."""
        name, tag = params["repositoryName"], params.get("imageTag")
        digest = f"sha256:{hashlib.sha256(params['imageManifest'].encode()).hexdigest()}"
        if params.get("imageDigest", digest) != digest:
            raise AwsError("ImageDigestDoesNotMatchException", f"The digest of the manifest is {digest}.")
        repository = self._get_repository(name, context)
        for image in self._call(context, "DescribeImages", repositoryName=name)["imageDetails"]:
            has_tag, is_same_digest = tag in image.get("imageTags", []), image["imageDigest"] == digest
            if is_same_digest and (has_tag or tag is None):
                message = f"Image with digest '{digest}' and tag '{tag}' already exists in the repository '{name}'."
                raise AwsError("ImageAlreadyExistsException", message)
            if has_tag and self._is_immutable(repository, str(tag), context):
                message = f"The image tag '{tag}' already exists in the '{name}' repository and is immutable."
                raise AwsError("ImageTagAlreadyExistsException", message)
        response = context.forward({**params, "imageDigest": digest})
        if referrer := _build_referrer(params["imageManifest"], digest):
            self._referrers[context.region, name, digest] = referrer
        if repository["imageScanningConfiguration"].get("scanOnPush"):
            self._scanned_at[context.region, name, digest] = datetime.now(UTC)
        return response

    def describe_images(self, params: Params, context: CallContext) -> Params:
        """Describe images; a requested image that does not exist is ImageNotFoundException."""
        response = context.forward(params)
        for image_id in params.get("imageIds", []):
            if not any(_matches_image_id(image_id, image) for image in response["imageDetails"]):
                message = (
                    f"The image with imageId {image_id} does not exist "
                    f"within the repository '{params['repositoryName']}'"
                )
                raise AwsError("ImageNotFoundException", message)
        images = [
            {**image, **self._referrer_fields(params["repositoryName"], image, context)}
            for image in response["imageDetails"]
        ]
        return {**response, "imageDetails": images}

    def list_image_referrers(self, params: Params, context: CallContext) -> Params:
        """List existing images that have the given image as their subject, such as an SBOM."""
        name, subject_digest = params["repositoryName"], params["subjectId"]["imageDigest"]
        details = self._call(context, "DescribeImages", repositoryName=name)["imageDetails"]
        candidates = (self._referrers.get((context.region, name, image["imageDigest"])) for image in details)
        referrers = [referrer for referrer in candidates if referrer and referrer["subject"] == subject_digest]
        return {"referrers": [{key: referrer[key] for key in referrer if key != "subject"} for referrer in referrers]}

    def create_repository(self, params: Params, context: CallContext) -> Params:
        """Create a repository; keep the filters that exempt tags from immutability."""
        response = context.forward(params)
        self._exclusion_filters[context.region, params["repositoryName"]] = params.get(
            "imageTagMutabilityExclusionFilters", []
        )
        return {"repository": self._add_exclusion_filters(response["repository"], context)}

    def put_image_tag_mutability(self, params: Params, context: CallContext) -> Params:
        """Set tag mutability; keep the filters that exempt tags from immutability."""
        response = context.forward(params)
        filters = params.get("imageTagMutabilityExclusionFilters", [])
        self._exclusion_filters[context.region, params["repositoryName"]] = filters
        return {**response, **({"imageTagMutabilityExclusionFilters": filters} if filters else {})}

    def describe_repositories(self, params: Params, context: CallContext) -> Params:
        """Describe repositories with their exclusion filters."""
        response = context.forward(params)
        return {
            **response,
            "repositories": [
                self._add_exclusion_filters(repository, context) for repository in response["repositories"]
            ],
        }

    def start_image_scan(self, params: Params, context: CallContext) -> Params:
        """Run a basic scan, which completes at once and finds nothing."""
        image = self._get_image(params, context)
        self._scanned_at[context.region, params["repositoryName"], image["imageDigest"]] = datetime.now(UTC)
        return {**self._image_identity(params, image), "imageScanStatus": {"status": "IN_PROGRESS"}}

    def describe_image_scan_findings(self, params: Params, context: CallContext) -> Params:
        """Return the findings; ScanNotFoundException if no scan was started."""
        image = self._get_image(params, context)
        scanned_at = self._scanned_at.get((context.region, params["repositoryName"], image["imageDigest"]))
        if scanned_at is None:
            message = f"Image scan does not exist for the image with '{params['imageId']}'"
            raise AwsError("ScanNotFoundException", message)
        findings = {"imageScanCompletedAt": scanned_at, "vulnerabilitySourceUpdatedAt": scanned_at, "findings": []}
        return {
            **self._image_identity(params, image),
            "imageScanStatus": {"status": "COMPLETE", "description": "The scan was completed successfully."},
            "imageScanFindings": {**findings, "findingSeverityCounts": {}},
        }

    def get_registry_scanning_configuration(self, params: Params, context: CallContext) -> Params:
        """Return the scanning configuration: basic without rules, unless set."""
        configuration = self._scanning_configurations.get(context.region, _DEFAULT_SCANNING)
        return {"registryId": self.state.account, "scanningConfiguration": configuration}

    def put_registry_scanning_configuration(self, params: Params, context: CallContext) -> Params:
        """Set the scanning configuration."""
        configuration = {"scanType": params.get("scanType", "BASIC"), "rules": params.get("rules", [])}
        self._scanning_configurations[context.region] = configuration
        return {"registryScanningConfiguration": configuration}

    def batch_get_repository_scanning_configuration(self, params: Params, context: CallContext) -> Params:
        """Return the scanning configuration of repositories, from their own setting."""
        response = self._call(context, "DescribeRepositories", repositoryNames=params["repositoryNames"])
        shapes = []
        for repository in response["repositories"]:
            on_push = repository["imageScanningConfiguration"]["scanOnPush"]
            shapes.append(
                {
                    "repositoryArn": repository["repositoryArn"],
                    "repositoryName": repository["repositoryName"],
                    "scanOnPush": on_push,
                    "scanFrequency": "SCAN_ON_PUSH" if on_push else "MANUAL",
                    "appliedScanFilters": [],
                }
            )
        return {"scanningConfigurations": shapes, "failures": []}

    def get_authorization_token(self, params: Params, context: CallContext) -> Params:
        """Return a login to this emulator's registry, valid for 12 hours, at the caller's own address for it."""
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=12)
        host = context.request.header("host", "127.0.0.1")
        authorization = {
            "authorizationToken": encode_authorization_token(self.state, context.region),
            "proxyEndpoint": f"http://{host}",
        }
        return {"authorizationData": [{**authorization, "expiresAt": expires}]}

    def _referrer_fields(self, repository: str, image: Params, context: CallContext) -> Params:
        """Return the fields that DescribeImages adds for an image that refers to another."""
        referrer = self._referrers.get((context.region, repository, image["imageDigest"]))
        return (
            {"artifactMediaType": referrer["artifactType"], "subjectManifestDigest": referrer["subject"]}
            if referrer
            else {}
        )

    def _get_repository(self, name: str, context: CallContext) -> Params:
        repository: Params = self._call(context, "DescribeRepositories", repositoryNames=[name])["repositories"][0]
        return repository

    def _add_exclusion_filters(self, repository: Params, context: CallContext) -> Params:
        filters = self._exclusion_filters.get((context.region, repository["repositoryName"]), [])
        return {**repository, **({"imageTagMutabilityExclusionFilters": filters} if filters else {})}

    def _is_immutable(self, repository: Params, tag: str, context: CallContext) -> bool:
        filters = self._exclusion_filters.get((context.region, repository["repositoryName"]), [])
        is_exempt = any(fnmatchcase(tag, exclusion["filter"]) for exclusion in filters)
        mutability = repository["imageTagMutability"]
        if mutability.endswith("_WITH_EXCLUSION"):
            is_immutable_tag: bool = (mutability == "IMMUTABLE_WITH_EXCLUSION") != is_exempt
            return is_immutable_tag
        is_always_immutable: bool = mutability == "IMMUTABLE"
        return is_always_immutable

    def _get_image(self, params: Params, context: CallContext) -> Params:
        details = self._call(context, "DescribeImages", repositoryName=params["repositoryName"])["imageDetails"]
        image: Params | None = next(
            (detail for detail in details if _matches_image_id(params["imageId"], detail)), None
        )
        if image is None:
            raise AwsError("ImageNotFoundException", f"The image with imageId {params['imageId']} does not exist")
        return image

    def _image_identity(self, params: Params, image: Params) -> Params:
        identity = {**params["imageId"], "imageDigest": image["imageDigest"]}
        return {"registryId": self.state.account, "repositoryName": params["repositoryName"], "imageId": identity}

    def _call(self, context: CallContext, operation: str, **params: Any) -> Params:
        return self.state.call("ecr", operation, context.region, **params)


def _matches_image_id(image_id: Params, image: Params) -> bool:
    """Return whether an imageId names an image."""
    matches_digest = image_id.get("imageDigest") in (None, image["imageDigest"])
    return matches_digest and image_id.get("imageTag") in (None, *image.get("imageTags", []))


def _build_referrer(manifest_text: str, digest: str) -> Params | None:
    """Return the ListImageReferrers entry of a manifest with its subject's digest; None without a subject."""
    manifest = json.loads(manifest_text)
    if not (subject := manifest.get("subject")):
        return None
    artifact_type = manifest.get("artifactType") or manifest["config"]["mediaType"]
    referrer = {
        "digest": digest,
        "mediaType": manifest["mediaType"],
        "artifactType": artifact_type,
        "size": len(manifest_text.encode()),
    }
    return {**referrer, "annotations": manifest.get("annotations", {}), "subject": subject["digest"]}
