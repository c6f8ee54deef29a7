"""Choose the price list of a project: the shipped prices, with those of its own file in their place."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.cost import price_list
from orchestrator.cost.price_list import PriceList

DEFAULT_FILE = "prices.json"
ENVIRONMENT_VARIABLE = "ORCHESTRATOR_PRICES"


def project_file() -> Path:
    """Return where the project keeps its prices: `ORCHESTRATOR_PRICES`, else `prices.json` in the working folder."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_FILE)


def load() -> PriceList:
    """Return the prices to estimate with.

    Raises Problems if the project's file cannot be read.
    """
    shipped, path = price_list.load_shipped(), project_file()
    return shipped.updated_with(price_list.load_file(path)) if path.is_file() else shipped
