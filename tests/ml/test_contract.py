"""Where an export's preprocessing or a mapping's address is wrong, the message names it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from ml.data import product_mapping
from ml.data.product_mapping import FieldNames
from ml.evaluation.parity import find_contract_mismatch
from ml.training_run import Preprocessing
from orchestrator.problems import Problems

TRAINED = Preprocessing(classes=("a", "b"))
EXPORTED = asdict(TRAINED) | {"classes": ["a", "b"]}
LABELS = {"scaling": "scaling: ", "channels": "channel order: ", "resize": "resize: "}


@pytest.mark.parametrize("name", EXPORTED)
def test_the_first_difference_is_named(name: str) -> None:
    """Every field of the contract is compared; three have a name of their own."""
    message = find_contract_mismatch(TRAINED, {**EXPORTED, name: "other"})

    assert message.startswith("classes" if name == "classes" else LABELS.get(name, f"{name}: "))
    assert ("the export has other, training used" in message) is (name != "classes")
    assert find_contract_mismatch(TRAINED, {key: EXPORTED[key] for key in EXPORTED if key != name}) != ""


def test_an_equal_contract_has_no_difference() -> None:
    assert find_contract_mismatch(TRAINED, {**EXPORTED, "more": 1}) == ""


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:9/map?key=secret", "cannot reach http://127.0.0.1:9/map: ConnectError"),
        ("ftp://127.0.0.1/map", "unsupported URL scheme ftp:// in --mapping"),
    ],
)
def test_an_address_that_does_not_answer_is_named_without_its_query(address: str, said: str) -> None:
    """A query may hold a key."""
    with pytest.raises(Problems) as raised:
        product_mapping.load(address, fields())

    assert raised.value.problems[0].message == said
    assert "secret" not in str(raised.value)


def fields() -> Any:
    return FieldNames("photo", "product")
