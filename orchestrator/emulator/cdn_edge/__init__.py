"""CloudFront's data plane: what a distribution answers a viewer, for both backends, so that a real browser can look.

``Viewer`` is asked by Host: a distribution's domain, an alias or its id, each also with ``.localhost`` behind it, which
browsers resolve to this machine.  The configuration is read from the emulated control plane at every request, and the
objects from the backend's S3, where a bucket policy allows it.  Not modelled: signed URLs, WAF, geographic
restrictions, Lambda@Edge, key value stores, Brotli, origin failover.
"""

from orchestrator.emulator.cdn_edge.edge import Edge

__all__ = ["Edge"]
