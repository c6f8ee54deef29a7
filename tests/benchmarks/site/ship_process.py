"""What a deploy does for its site, as a process of its own: scan, look, ship.  Nothing of the bucket itself.

``python -m tests.benchmarks.site.ship_process FOLDER BUCKET STORE [BACK]`` prints the seconds that hashing took, those that
it then took to find out what is to be done, by a client that is there already, and the digest of the site.  With BACK, a
digest, the site of that digest comes back from what S3 holds of it.
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
    process_lifecycle.tune_gc()  # as every command does, which ends so, too
    clients = Clients(SCOPE.region)
    started_at = time.perf_counter()
    site = load_earlier_site(clients, bucket, store, restore_digest) if restore_digest else scan(Path(folder))
    hash_seconds = time.perf_counter() - started_at
    clients.check_reachable("s3", "list_objects_v2")
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
    """A site of an earlier release."""
    key = f"sites/{bucket}/{digest}.json"
    return load(clients.call("s3", "get_object", {"Bucket": store, "Key": key})["Body"].read(), Site)


if __name__ == "__main__":
    main(*sys.argv[1:])
    process_lifecycle.flush_and_exit(0)
