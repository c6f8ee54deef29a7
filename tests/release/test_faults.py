"""All or nothing: a fault, or the end of the run, at every step of a deploy and of a rollback.

The end is the old vector or the new one, never a mix, and the report and the ledger say which.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.aws.errors import AwsError
from orchestrator.planning import pipeline
from orchestrator.planning.events import Event, Finished
from orchestrator.problems import Problems
from orchestrator.release import rollback
from orchestrator.release.deploy import Deployment, Ended
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import Store
from orchestrator.render import deploy_view
from orchestrator.render.style import Style
from tests.proofs.world import Standing
from tests.release.failing import Failing, Killed
from tests.release.project import BUCKET
from tests.release.whole import NEW, OLD, WithSite


@pytest.fixture
def shop(halfway: WithSite) -> WithSite:
    return halfway


def deploy(shop: WithSite, clients: Clients) -> Ended:
    asked = shop.wanted()
    planned = pipeline.plan(asked.desired, clients=shop.clients)
    return shop.run(clients).deploy(planned, asked, lambda cause: None)


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 2])
def test_a_fault_at_any_step_of_a_deploy_leads_back(shop: WithSite, first: int) -> None:
    """Nothing of the release that failed stands, and it is not held back: a refused call says nothing of a build."""
    for number in itertools.count(first, 2):
        faulty = Failing(number)
        ended = deploy(shop, faulty)
        if ended.end == "released":
            break
        assert (ended.end, shop.stands()) == ("returned", OLD), faulty.failed
        assert "not today" in ended.cause
        assert shop.ledger.releases[-1].vector == shop.ledger.releases[0].vector, faulty.failed
        assert shop.ledger.pins == ()
    assert (shop.stands(), bool(ended.trouble)) == (NEW, bool(faulty.failed)), "what is tidied up last may fail"
    assert number > 6


def test_a_ledger_that_cannot_be_written_is_told_with_what_stands(shop: WithSite) -> None:
    """Before: nothing is done.  After: all of it is done, and the same again writes it down."""
    with pytest.raises(Problems, match=r"cannot write s3://shop-releases-prod/ledger/prod.json.*not today"):
        deploy(shop, Failing(1, ledger=True))
    assert shop.stands() == OLD

    with pytest.raises(Problems, match="all of it stands, but that could not be written down") as told:
        deploy(shop, Failing(2, ledger=True))
    assert "run the same again" in str(told.value)
    assert shop.stands() == NEW
    assert shop.ledger.releases[-1].result == "started"

    assert deploy(shop, shop.clients).end == "released"
    assert shop.ledger.releases[-1].is_whole


def test_a_failure_that_cannot_be_written_down_is_gone_back_from_all_the_same(shop: WithSite) -> None:
    """The note is worth less than the shop."""

    class Both(Failing):
        """Fails a step of the deploy, and then the note of it."""

        def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
            if self.failed and operation == "put_object" and not self._ledger:
                self.left, self._ledger = 1, True
            return super().call(service, operation, parameters, region)

    ended = deploy(shop, Both(3))

    assert (ended.end, shop.stands()) == ("returned", OLD)
    assert any("could not be written down" in one for one in ended.trouble)


@pytest.mark.slow
def test_a_rollback_that_was_killed_goes_on(shop: WithSite) -> None:
    """Wherever that was: the same command again ends where it was to end, and holds back what was left."""
    deploy(shop, shop.clients)
    number = 0
    for target, stands, left in itertools.cycle([(1, OLD, 2), (2, NEW, 1)]):
        number += 1
        deadly = Failing(number, deadly=True)
        with suppress(Killed):
            shop.back(deadly, target)
        standing = shop.ledger.standing
        assert standing is not None
        if standing.is_whole:
            break
        assert (standing.result, rollback.choose(shop.ledger, None).number) == ("started", target), deadly.failed
        ended = shop.back()
        assert (ended.end, shop.stands()) == ("released", stands), deadly.failed
        sites = {pin.refused for pin in shop.ledger.pins if pin.part == "site:bucket.web"}
        assert shop.ledger.find(left).vector.sites["bucket.web"] in sites  # type: ignore[union-attr]
    assert number > 6


class Expiring(Standing):
    """Clients whose session runs out."""

    expired = False

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if self.expired:
            raise AwsError(service, operation, "ExpiredToken", "The security token included in the request is expired")
        return super().call(service, operation, parameters, region)

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if self.expired:
            raise AwsError(service, operation, "ExpiredToken", "The security token included in the request is expired")
        return super().pages(service, operation, parameters, region)


def expires(shop: WithSite, after: int) -> tuple[Ended, str]:
    """A deploy whose session runs out after that many of its resources (0: after all); what it says of it."""
    clients, ended = Expiring(), []
    asked = shop.wanted()
    planned = pipeline.plan(asked.desired, clients=shop.clients)

    def on_event(event: Event) -> None:
        ended.extend([event] if isinstance(event, Finished) else [])
        clients.expired = len(ended) >= (after or len(planned.plan.pending))

    run = Deployment(Store(clients, BUCKET, "prod"), Origin("ana", "c"), clients, on_event, parallelism=1)
    done = run.deploy(planned, asked, lambda cause: None)
    return done, deploy_view.text(deploy_view.view(done, 1.0, again="again", look="look"), Style())


def test_a_session_that_runs_out_after_the_apply_does_not_undo_what_was_said(shop: WithSite) -> None:
    """All of it was done, which is told; nothing is gone back from; the same again finds it and writes it down."""
    ended, told = expires(shop, after=0)

    assert (ended.end, shop.stands()) == ("failed", NEW)
    assert "First cause: all of it was applied, and AWS could not be read afterwards" in told.replace("\n    ", " ")
    assert "ExpiredToken" in told
    assert "nothing was changed" not in told
    assert "nobody knows yet whether all of it stands" in told
    assert deploy(shop, shop.clients).end == "released"
    assert shop.ledger.standing.is_whole  # type: ignore[union-attr]


def test_a_session_that_runs_out_in_the_middle_is_told_with_what_was_done(shop: WithSite) -> None:
    """Going back is impossible, and that is a sentence beside the first cause, not instead of it."""
    ended, told = expires(shop, after=1)

    assert (ended.end, ended.stands) == ("failed", None)
    assert ended.shipped.changed
    assert "ExpiredToken" in ended.cause
    assert "going back failed too" in told
    assert "Done" in told
    assert deploy(shop, shop.clients).end == "released"
    assert shop.stands() == NEW
