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
from orchestrator.planning.events import ChangeFinished, Event
from orchestrator.problems import Problems
from orchestrator.release import rollback
from orchestrator.release.deploy import Deployment, DeployResult
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.render import deploy_view
from orchestrator.render.style import Style
from tests.proofs.real_stack import SharedClients
from tests.release.failing_clients import FailingClients, ProcessKilled
from tests.release.shop_project import BUCKET
from tests.release.site_checkout import V1
from tests.release.site_project import NEW_STATE, OLD_STATE, SiteProject


@pytest.fixture
def shop(halfway: SiteProject) -> SiteProject:
    return halfway


def deploy(shop: SiteProject, clients: Clients) -> DeployResult:
    asked = shop.read_checkout()
    planned = pipeline.plan(asked.desired, clients=shop.clients)
    return shop.make_deployment(clients).deploy(planned, asked, lambda cause: None)


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 2])
def test_a_fault_at_any_step_of_a_deploy_leads_back(shop: SiteProject, first: int) -> None:
    """Nothing of the release that failed stands, and it is not held back: a refused call says nothing of a build."""
    for number in itertools.count(first, 2):
        faulty = FailingClients(number)
        ended = deploy(shop, faulty)
        if ended.status == "released":
            break
        assert (ended.status, shop.live_state()) == ("returned", OLD_STATE), faulty.failed_call
        assert "not today" in ended.cause
        assert shop.ledger.releases[-1].vector == shop.ledger.releases[0].vector, faulty.failed_call
        assert shop.ledger.pins == ()
    assert (shop.live_state(), bool(ended.warnings)) == (NEW_STATE, bool(faulty.failed_call)), (
        "what is tidied up last may fail"
    )
    assert number > 6


def test_a_ledger_that_cannot_be_written_is_told_with_what_stands(shop: SiteProject) -> None:
    """Before: nothing is done.  After: all of it is done, and the same again writes it down."""
    with pytest.raises(Problems, match=r"cannot write s3://shop-releases-prod/ledger/prod.json.*not today"):
        deploy(shop, FailingClients(1, ledger_only=True))
    assert shop.live_state() == OLD_STATE

    with pytest.raises(Problems, match="the release is deployed, but could not be recorded") as told:
        deploy(shop, FailingClients(2, ledger_only=True))
    assert "run the command again" in str(told.value)
    assert shop.live_state() == NEW_STATE
    assert shop.ledger.releases[-1].result == "started"

    assert deploy(shop, shop.clients).status == "released"
    assert shop.ledger.releases[-1].is_complete


def test_a_failure_that_cannot_be_written_down_is_gone_back_from_all_the_same(shop: SiteProject) -> None:
    """The note is worth less than the shop."""

    class Both(FailingClients):
        """Fails a step of the deploy, and then the note of it."""

        def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
            if self.failed_call and operation == "put_object" and not self._is_ledger_only:
                self.remaining_writes, self._is_ledger_only = 1, True
            return super().call(service, operation, parameters, region)

    ended = deploy(shop, Both(3))

    assert (ended.status, shop.live_state()) == ("returned", OLD_STATE)
    assert any("could not be recorded" in one for one in ended.warnings)


@pytest.mark.slow
def test_a_rollback_that_was_killed_goes_on(shop: SiteProject) -> None:
    """Wherever that was: the same command again ends where it was to end, and holds back what was left."""
    deploy(shop, shop.clients)
    number = 0
    for target, stands, left in itertools.cycle([(1, OLD_STATE, 2), (2, NEW_STATE, 1)]):
        number += 1
        deadly = FailingClients(number, is_fatal=True)
        with suppress(ProcessKilled):
            shop.roll_back(deadly, target)
        standing = shop.ledger.current_release
        assert standing is not None
        if standing.is_complete:
            break
        assert (standing.result, rollback.choose_release(shop.ledger, None).number) == ("started", target), (
            deadly.failed_call
        )
        ended = shop.roll_back()
        assert (ended.status, shop.live_state()) == ("released", stands), deadly.failed_call
        sites = {pin.refused for pin in shop.ledger.pins if pin.part == "site:bucket.web"}
        assert shop.ledger.find(left).vector.sites["bucket.web"] in sites  # type: ignore[union-attr]
    assert number > 6


class Expiring(SharedClients):
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


def expires(shop: SiteProject, after: int) -> tuple[DeployResult, str]:
    """A deploy whose session runs out after that many of its resources (0: after all); what it says of it."""
    clients, ended = Expiring(), []
    asked = shop.read_checkout()
    planned = pipeline.plan(asked.desired, clients=shop.clients)

    def on_event(event: Event) -> None:
        ended.extend([event] if isinstance(event, ChangeFinished) else [])
        clients.expired = len(ended) >= (after or len(planned.plan.pending_changes))

    run = Deployment(LedgerStore(clients, BUCKET, "prod"), Origin("ana", "c"), clients, on_event, parallelism=1)
    done = run.deploy(planned, asked, lambda cause: None)
    return done, deploy_view.render_text(
        deploy_view.build_view(done, 1.0, retry_command="again", list_command="look"), Style()
    )


def test_a_session_that_runs_out_after_the_apply_does_not_undo_what_was_said(shop: SiteProject) -> None:
    """All of it was done, which is told; nothing is gone back from; the same again finds it and writes it down."""
    ended, told = expires(shop, after=0)

    assert (ended.status, shop.live_state()) == ("failed", NEW_STATE)
    assert "Root cause: everything was applied, but AWS could not be read afterwards" in told.replace("\n    ", " ")
    assert "ExpiredToken" in told
    assert "nothing was changed" not in told
    assert ", but not verified: AWS could not be read afterwards." in told
    assert deploy(shop, shop.clients).status == "released"
    assert shop.ledger.current_release.is_complete  # type: ignore[union-attr]


class Blinking(SharedClients):
    """Clients that cannot read AWS once, when everything is applied, and can again afterwards."""

    def __init__(self, changes: int) -> None:
        super().__init__()
        self.remaining_changes, self.failures = changes, 1

    def count(self, event: Event) -> None:
        self.remaining_changes -= isinstance(event, ChangeFinished)

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if self.remaining_changes == 0 and self.failures and operation == "get_caller_identity":
            self.failures -= 1
            raise AwsError(service, operation, "RequestTimeout", "no response")
        return super().call(service, operation, parameters, region)


def test_one_failed_read_after_the_apply_rolls_nothing_back(shop: SiteProject) -> None:
    """A good release that could not be looked at for a moment stays, of a deploy and of a rollback alike."""
    asked = shop.read_checkout()
    planned = pipeline.plan(asked.desired, clients=shop.clients)
    aws = Blinking(len(planned.plan.pending_changes))
    store = LedgerStore(aws, BUCKET, "prod")
    ended = Deployment(store, Origin("ana", "c"), aws, aws.count).deploy(planned, asked, lambda cause: None)

    assert (ended.status, ended.rollback_result, aws.failures) == ("failed", None, 0)
    assert shop.live_state() == NEW_STATE
    assert deploy(shop, shop.clients).status == "released"

    target = rollback.prepare(shop.ledger, shop.ledger.releases[0], (), shop.store)
    planned = pipeline.plan(target.candidate.desired, clients=shop.clients)
    aws = Blinking(len(planned.plan.pending_changes))
    store = LedgerStore(aws, BUCKET, "prod")
    ended = Deployment(store, Origin("ana", "c"), aws, aws.count).rollback(planned, target, "", lambda cause: None)

    assert (ended.status, ended.rollback_result, aws.failures) == ("failed", None, 0)
    assert shop.live_state() == OLD_STATE


def test_pins_that_a_revert_lifts_are_gone_even_if_nothing_is_applied(shop: SiteProject) -> None:
    """The checkout is what the rollback restored: nothing is held back any more, and nothing is to be done."""
    deploy(shop, shop.clients)
    shop.roll_back()
    assert shop.ledger.pins
    shop.web.build(V1)

    assert shop.deploy(issuer="one", versioning="true").status == "unchanged"
    assert shop.ledger.pins == ()


def test_a_session_that_runs_out_in_the_middle_is_told_with_what_was_done(shop: SiteProject) -> None:
    """Going back is impossible, and that is a sentence beside the first cause, not instead of it."""
    ended, told = expires(shop, after=1)

    assert (ended.status, ended.current_release_number) == ("failed", None)
    assert ended.ship_result.applied_changes
    assert "ExpiredToken" in ended.cause
    assert "restoring the previous release also failed" in told
    assert "Done" in told
    assert deploy(shop, shop.clients).status == "released"
    assert shop.live_state() == NEW_STATE
