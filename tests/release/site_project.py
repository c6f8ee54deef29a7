"""The project with a site, as two releases leave it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from orchestrator.aws import Clients
from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.release import rollback
from orchestrator.release.deploy import DeployResult
from tests.proofs.real_stack import clients
from tests.release import shop_project
from tests.release.site_checkout import V1, V2, SiteCheckout

OLD_STATE = (V1["index.html"], "one", True)
NEW_STATE = (V2["index.html"], "two", False)
"""What users get of the one release and of the other."""
SITE_MANIFEST = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web, spa: {dir: dist}, deletionPolicy: delete}
"""


class SiteProject(shop_project.ShopProject):
    """The project with a site."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        super().__init__(folder, clients())
        self.emulator = emulator
        self.web = SiteCheckout(folder, emulator)

    def write(self, **values: object) -> None:
        super().write(**values)
        (self.folder / "web.yaml").write_text(textwrap.dedent(SITE_MANIFEST))

    def roll_back(self, aws_clients: Clients | None = None, number: int | None = None, *words: str) -> DeployResult:
        target = rollback.prepare(self.ledger, rollback.choose_release(self.ledger, number), words, self.store)
        planned = pipeline.plan(target.candidate.desired, clients=self.clients)
        self.emulator.clear_calls()
        return self.make_deployment(aws_clients).rollback(planned, target, "", lambda cause: None)

    def live_state(self) -> tuple[Any, ...]:
        """What users get: the front page, the secret, the bucket's settings."""
        return self.web.read_pages()["index.html"], self.read_issuer(), self.is_versioned()
