"""The project with a site, as two releases leave it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from orchestrator.aws import Clients
from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.release import rollback
from orchestrator.release.deploy import Ended
from tests.proofs.world import clients
from tests.release import project
from tests.release.web import V1, V2, Web

OLD = (V1["index.html"], "one", True)
NEW = (V2["index.html"], "two", False)
"""What users get of the one release and of the other."""
SITE = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web, spa: {dir: dist}, deletionPolicy: delete}
"""


class WithSite(project.Shop):
    """The project with a site."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        super().__init__(folder, clients())
        self.emulator = emulator
        self.web = Web(folder, emulator)

    def write(self, **values: object) -> None:
        super().write(**values)
        (self.folder / "web.yaml").write_text(textwrap.dedent(SITE))

    def back(self, through: Clients | None = None, number: int | None = None, *words: str) -> Ended:
        way = rollback.prepare(self.ledger, rollback.choose(self.ledger, number), words, self.store)
        planned = pipeline.plan(way.wanted.desired, clients=self.clients)
        self.emulator.forget_calls()
        return self.run(through).go_back(planned, way, "", lambda cause: None)

    def stands(self) -> tuple[Any, ...]:
        """What users get: the front page, the secret, the bucket's settings."""
        return self.web.served()["index.html"], self.issuer(), self.versioned()
