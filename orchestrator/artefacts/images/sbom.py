"""What an image is made of, as a CycloneDX document that lies beside it in its registry.

It refers to the image by digest (OCI's ``subject``), so that ``oras discover``, scanners and ECR's ListImageReferrers
find it.  Same image, same document: it holds no time and nothing drawn by lot.
Source: CycloneDX 1.6 (ECMA-424); OCI image specification 1.1, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from orchestrator import __version__
from orchestrator.artefacts.images.packages import Found
from orchestrator.artefacts.images.registry import Descriptor, Reference

TYPE = "application/vnd.cyclonedx+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
NOTHING = b"{}"
NOTHING_TYPE = "application/vnd.oci.empty.v1+json"
_BASE = "org.opencontainers.image.base"


def document(found: Found, image: Reference, digest: str, labels: Mapping[str, str]) -> bytes:
    """The SBOM of the image that has ``digest`` in its registry.  ``labels`` are its own; they name its base."""
    name = image.repository.rpartition("/")[2]
    place = quote(f"{image.registry}/{image.repository}", safe="")
    subject: dict[str, Any] = {
        "type": "container",
        "bom-ref": "image",
        "name": image.repository,
        "version": digest,
        "purl": f"pkg:oci/{quote(name)}@{quote(digest, safe='')}?repository_url={place}&tag={quote(image.tag)}",
        "properties": [{"name": key, "value": value} for key, value in sorted(labels.items())],
    }
    if f"{_BASE}.name" in labels:
        base = {"type": "container", "name": labels[f"{_BASE}.name"]}
        pinned = {"version": labels[f"{_BASE}.digest"]} if f"{_BASE}.digest" in labels else {}
        subject["pedigree"] = {"ancestors": [base | pinned]}
    if found.unread:
        subject["properties"] += [{"name": "orchestrator:database-not-read", "value": path} for path in found.unread]
    tool = {"type": "application", "name": "orchestrator", "version": __version__}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, subject['purl'])}",
        "version": 1,
        "metadata": {"tools": {"components": [tool]}, "component": subject},
        "components": [
            {"type": "library", "bom-ref": one.purl, "name": one.name, "version": one.version, "purl": one.purl}
            for one in found.packages
        ],
        "compositions": [{"aggregate": "incomplete", "assemblies": ["image"]}],
    }
    return json.dumps(bom, indent=1).encode()


def referrer(bom: bytes, subject: Descriptor) -> bytes:
    """The manifest by which a registry knows that ``bom`` tells of ``subject``."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": TYPE,
        "config": _described(NOTHING_TYPE, NOTHING),
        "layers": [_described(TYPE, bom)],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
    }
    return json.dumps(manifest).encode()


def _described(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
