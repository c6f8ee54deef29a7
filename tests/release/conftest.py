"""An emulated AWS and a project on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from tests.proofs.real_stack import clients, emulated_aws
from tests.release.shop_project import ShopProject
from tests.release.site_checkout import V1, V2
from tests.release.site_project import SiteProject


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with emulated_aws() as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator) -> ShopProject:
    return ShopProject(tmp_path, clients())


@pytest.fixture
def halfway(tmp_path: Path, emulator: Emulator) -> SiteProject:
    """One release (OLD), and the checkout of the next (NEW)."""
    found = SiteProject(tmp_path, emulator)
    found.web.build(V1)
    found.deploy(issuer="one", versioning="true")
    found.web.build(V2)
    found.write(issuer="two", versioning="false")
    return found


@pytest.fixture
def twice(halfway: SiteProject) -> SiteProject:
    """Two releases, OLD and NEW."""
    halfway.deploy()
    return halfway
