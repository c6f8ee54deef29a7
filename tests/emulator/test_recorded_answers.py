"""What real AWS answered, the emulator answers: facts of recordings that nobody here made."""

from __future__ import annotations

import os

import pytest

from orchestrator.emulator import Emulator
from tests.emulator import recorded_answers
from tests.emulator.recorded_answers import Fact, load, product_operations, render_page, witnessed_operations
from tests.proofs.real_stack import emulated_aws


def fact_id(fact: Fact) -> str:
    return f"{fact.operation} {fact.entry['fact']}"


@pytest.fixture(scope="module")
def account() -> object:
    with emulated_aws() as running:
        yield running


@pytest.mark.parametrize("fact", load(), ids=fact_id)
def test_the_answer_is_the_recorded_one(account: Emulator, fact: Fact) -> None:
    """A listed difference has to be one: what was corrected leaves the list."""
    account.reset()

    differences = fact.find_differences(account)

    assert bool(differences) == bool(fact.differs), differences or "the difference is gone: remove it from the list"


def test_what_the_product_uses_has_no_listed_difference() -> None:
    """The ratchet: operations of the product agree in every recorded fact."""
    assert len(product_operations()) > 100
    assert [fact_id(fact) for fact in load() if fact.differs and fact.operation in product_operations()] == []


def test_the_number_of_facts_and_witnesses_only_grows() -> None:
    """Raise the numbers with what is added; never lower them."""
    assert len([fact for fact in load() if not fact.differs]) >= MIN_AGREEING_FACTS
    assert len(product_operations() & witnessed_operations()) >= MIN_WITNESSED_OPERATIONS


MIN_AGREEING_FACTS = 53
MIN_WITNESSED_OPERATIONS = 29


def test_every_fact_names_its_recording() -> None:
    assert [fact_id(fact) for fact in load() if not str(fact.entry["source"]).startswith(("LS ", "CC ", "TF "))] == []


def test_the_page_is_current() -> None:
    """Run `python -m tests.emulator.recorded_answers` after a change of the facts or of the product's calls."""
    assert recorded_answers.PAGE.read_text() == render_page(), os.fspath(recorded_answers.PAGE)
