"""Describe the content of an image as a CycloneDX SBOM, stored beside the image in its registry.

The SBOM refers to the image by digest (OCI's ``subject``), so that ``oras discover``, scanners and ECR's
ListImageReferrers find it. It contains no timestamp or random value: the same image yields the same document. Source:
CycloneDX 1.6 (ECMA-424); OCI image specification 1.1, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from orchestrator import __version__
from orchestrator.artefacts.images.package_inventory import PackageInventory
from orchestrator.artefacts.images.registry_client import Descriptor, ImageReference

SBOM_MEDIA_TYPE = "application/vnd.cyclonedx+json"
MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_CONFIG = b"{}"
EMPTY_MEDIA_TYPE = "application/vnd.oci.empty.v1+json"
_BASE_LABEL_PREFIX = "org.opencontainers.image.base"


def build_document(inventory: PackageInventory, image: ImageReference, digest: str, labels: Mapping[str, str]) -> bytes:
    """Return the SBOM of the image with ``digest``. ``labels`` are the image's own, which name its base."""
    name = image.repository.rpartition("/")[2]
    repository_url = quote(f"{image.registry}/{image.repository}", safe="")
    subject: dict[str, Any] = {
        "type": "container",
        "bom-ref": "image",
        "name": image.repository,
        "version": digest,
        "purl": (
            f"pkg:oci/{quote(name)}@{quote(digest, safe='')}?repository_url={repository_url}&tag={quote(image.tag)}"
        ),
        "properties": [{"name": key, "value": value} for key, value in sorted(labels.items())],
    }
    if f"{_BASE_LABEL_PREFIX}.name" in labels:
        base = {"type": "container", "name": labels[f"{_BASE_LABEL_PREFIX}.name"]}
        base_version = (
            {"version": labels[f"{_BASE_LABEL_PREFIX}.digest"]} if f"{_BASE_LABEL_PREFIX}.digest" in labels else {}
        )
        subject["pedigree"] = {"ancestors": [base | base_version]}
    if inventory.unread_databases:
        subject["properties"] += [
            {"name": "orchestrator:database-not-read", "value": path} for path in inventory.unread_databases
        ]
    tool = {"type": "application", "name": "orchestrator", "version": __version__}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, subject['purl'])}",
        "version": 1,
        "metadata": {"tools": {"components": [tool]}, "component": subject},
        "components": [
            {
                "type": "library",
                "bom-ref": package.purl,
                "name": package.name,
                "version": package.version,
                "purl": package.purl,
            }
            for package in inventory.packages
        ],
        "compositions": [{"aggregate": "incomplete", "assemblies": ["image"]}],
    }
    return json.dumps(bom, indent=1).encode()


def build_referrer(bom: bytes, subject: Descriptor) -> bytes:
    """Return the manifest that attaches ``bom`` to ``subject`` in a registry."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": SBOM_MEDIA_TYPE,
        "config": _build_descriptor(EMPTY_MEDIA_TYPE, EMPTY_CONFIG),
        "layers": [_build_descriptor(SBOM_MEDIA_TYPE, bom)],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
    }
    return json.dumps(manifest).encode()


def _build_descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
