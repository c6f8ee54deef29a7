"""Serve CloudFront's data plane: what a distribution returns to a viewer, on both backends, for real browsers.

``Edge`` finds the distribution by Host: its domain, an alias or its ID, each also with ``.localhost`` appended, which
browsers resolve to this machine. It reads the configuration from the emulated control plane at every request, and the
objects from the backend's S3, if the bucket policy allows it. Not emulated: signed URLs, WAF, geographic restrictions,
Lambda@Edge, key value stores, Brotli, origin failover.
"""

from orchestrator.emulator.cdn_edge.edge import Edge

__all__ = ["Edge"]
