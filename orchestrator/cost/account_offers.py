"""Tell what AWS gives to a new account, and until when, from the day on which the account was created.  Pure.

Source: "Choosing an AWS Free Tier plan", AWS Billing user guide: accounts created from 2025-07-15 on get credits
instead of twelve free months.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import date

from msgspec import Struct

from orchestrator.vocabulary import Component

CREDITS_SINCE = date(2025, 7, 15)
"""First day on which new accounts got credits instead of twelve free months."""

SIGN_UP_CREDITS_USD = 100
MAX_CREDITS_USD = 200
"""Credits at sign-up, and with all activities done."""

_FREE_MONTHS = 12
_CREDIT_MONTHS = 12
_FREE_PLAN_MONTHS = 6


class AccountOffer(Struct, frozen=True):
    """What a new account gets, the last day of it, and the day on which an account on the Free plan is closed."""

    description: str
    ends: date
    free_plan_closes: date | None = None

    def has_ended(self, on: date) -> bool:
        """Return whether the offer is over on a day."""
        return on > self.ends


def offer_for(created: date) -> AccountOffer:
    """Return the offer of an account created on a day."""
    if created < CREDITS_SINCE:
        return AccountOffer(
            "12 free months, each with 750 hours of a db.t3.micro or db.t4g.micro, 20 GB of database storage and 5 GB "
            "in S3",
            _add_months(created, _FREE_MONTHS),
        )
    return AccountOffer(
        f"credits of {SIGN_UP_CREDITS_USD} to {MAX_CREDITS_USD} USD, and no free months",
        _add_months(created, _CREDIT_MONTHS),
        _add_months(created, _FREE_PLAN_MONTHS),
    )


def find_created(components: Iterable[Component]) -> date | None:
    """Return the day on which the account was created, as the Project states it; None if it does not."""
    for component in components:
        if component.kind == "Project" and "accountCreated" in component.spec:
            return date.fromisoformat(str(component.spec["accountCreated"]))
    return None


def months_covered(credits_usd: float, monthly_usd: float) -> float | None:
    """Return how many months credits pay for a stack, None if it costs nothing."""
    return round(credits_usd / monthly_usd, 1) if monthly_usd > 0 else None


def _add_months(start: date, months: int) -> date:
    index = start.month - 1 + months
    year, month = start.year + index // 12, index % 12 + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))
