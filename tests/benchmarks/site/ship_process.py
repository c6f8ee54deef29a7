"""Run the site part of a deploy in a separate process: scan, compare, upload.  Does not create the bucket.

``python -m tests.benchmarks.site.ship_process FOLDER BUCKET STORE [DIGEST]`` prints the seconds for hashing, the
seconds to find the differences with an existing client, and the digest of the site.  With DIGEST, it restores the site
of that digest from S3 instead.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from orchestrator import process_lifecycle
from orchestrator.artefacts import Site
from orchestrator.artefacts.sites.folder import scan
from orchestrator.aws import Clients, Reader, StepExecutor
from orchestrator.canonical_json import load
from orchestrator.resources import s3_site
from orchestrator.resources.s3_site.live_site import read_live_site
from orchestrator.steps import execute_steps
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import LiveResource, Scope

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")


def main(folder: str, bucket: str, store: str, restore_digest: str = "") -> None:
    process_lifecycle.tune_gc()  # as every command does
    clients = Clients(SCOPE.region)
    started_at = time.perf_counter()
    site = load_earlier_site(clients, bucket, store, restore_digest) if restore_digest else scan(Path(folder))
    hash_seconds = time.perf_counter() - started_at
    clients.call("s3", "head_bucket", {"Bucket": bucket})  # a deploy has read the bucket before it reads the site
    started_at = time.perf_counter()
    live_site = read_live_site(Reader(clients), SCOPE, bucket, site, store, can_compare_etags=True)
    live_digest = live_site.description
    look_seconds = time.perf_counter() - started_at
    if live_digest != site.digest:
        shipping = {"site": site, "store": store, "by_etag": True, "distributions": []}
        spec = {"site": site.digest, "shipping": WriteOnly(shipping)}
        live = LiveResource({"site": live_digest}, private={"found": live_site})
        execute_steps(s3_site.update(SCOPE, bucket, spec, live, frozenset({"site"})), StepExecutor(clients).perform)
    print(f"{hash_seconds:.4f} {look_seconds:.4f} {site.digest}")


def load_earlier_site(clients: Clients, bucket: str, store: str, digest: str) -> Site:
    """Load the site of an earlier release."""
    key = f"sites/{bucket}/{digest}.json"
    return load(clients.call("s3", "get_object", {"Bucket": store, "Key": key})["Body"].read(), Site)


if __name__ == "__main__":
    main(*sys.argv[1:])
    process_lifecycle.flush_and_exit(0)
