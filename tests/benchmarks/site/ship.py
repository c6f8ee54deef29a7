"""What a deploy does for its site, as a process of its own: scan, look, ship.  Nothing of the bucket itself.

``python -m tests.benchmarks.site.ship FOLDER BUCKET STORE [BACK]`` prints the seconds that hashing took, those that it
then took to find out what is to be done, by a client that is there already, and the digest of the site.  With BACK, a
digest, the site of that digest comes back from what S3 holds of it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from orchestrator import process
from orchestrator.artefacts import Site
from orchestrator.artefacts.sites.folder import scan
from orchestrator.aws import Actuator, Clients, Reader
from orchestrator.canonical_json import load
from orchestrator.resources import s3_site
from orchestrator.resources.s3_site.live_site import look
from orchestrator.steps import play
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import Live, Scope

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")


def main(folder: str, bucket: str, store: str, back: str = "") -> None:
    process.begin()  # as every command does, which ends so, too
    clients = Clients(SCOPE.region)
    began = time.perf_counter()
    site = kept(clients, bucket, store, back) if back else scan(Path(folder))
    hashed = time.perf_counter() - began
    clients.reach("s3", "list_objects_v2")
    began = time.perf_counter()
    standing = look(Reader(clients), SCOPE, bucket, site, store, by_etag=True)
    shown = standing.shown
    looked = time.perf_counter() - began
    if shown != site.digest:
        shipping = {"site": site, "store": store, "by_etag": True, "distributions": []}
        spec = {"site": site.digest, "shipping": WriteOnly(shipping)}
        live = Live({"site": shown}, private={"found": standing})
        play(s3_site.update(SCOPE, bucket, spec, live, frozenset({"site"})), Actuator(clients).perform)
    print(f"{hashed:.4f} {looked:.4f} {site.digest}")


def kept(clients: Clients, bucket: str, store: str, digest: str) -> Site:
    """A site of an earlier release."""
    key = f"sites/{bucket}/{digest}.json"
    return load(clients.call("s3", "get_object", {"Bucket": store, "Key": key})["Body"].read(), Site)


if __name__ == "__main__":
    main(*sys.argv[1:])
    process.end(0)
