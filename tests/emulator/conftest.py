"""Two emulated AWS accounts for the whole package, one a backend; each test gets an empty one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from orchestrator.emulator import Emulator, Faults, start
from tests.emulator.account import Account, Client, Clients, make_client

Running = Callable[[str], Emulator]


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """Emulators by backend, started when first asked for."""
    started: dict[str, Emulator] = {}

    def one(backend: str) -> Emulator:
        if backend not in started:
            started[backend] = start("ministack" if backend == "ministack" else "moto")
        return started[backend]

    yield one
    for each in started.values():
        each.stop()


@pytest.fixture(scope="session")
def clients() -> Iterator[dict[tuple[str, str, str], Client]]:
    """boto3's clients by address, service and region: making one takes longer than most tests."""
    made: dict[tuple[str, str, str], Client] = {}
    yield made
    for each in made.values():
        each.close()


def _emptied(emulator: Emulator) -> Emulator:
    emulator.revive()
    emulator.faults = Faults()
    emulator.reset()
    emulator.clear_calls()
    return emulator


@pytest.fixture(
    params=[
        pytest.param("moto", marks=pytest.mark.xdist_group("emulator-moto")),
        pytest.param("ministack", marks=pytest.mark.xdist_group("emulator-ministack")),
    ]
)
def emulator(request: pytest.FixtureRequest, running: Running) -> Emulator:
    """An empty AWS, by moto and by MiniStack."""
    return _emptied(running(request.param))


@pytest.fixture
def moto(running: Running) -> Emulator:
    """An empty AWS by moto, for what does not depend on the backend."""
    return _emptied(running("moto"))


@pytest.fixture
def aws(emulator: Emulator, clients: dict[tuple[str, str, str], Client]) -> Clients:
    """Clients of the emulator under test."""

    def one(service: str, region: str = "eu-west-1") -> Client:
        key = (emulator.url, service, region)
        if key not in clients:
            clients[key] = make_client(emulator, service, region)
        return clients[key]

    return one


@pytest.fixture
def account(aws: Clients) -> Account:
    """The account under test."""
    return Account(aws)
