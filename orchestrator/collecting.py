"""How seldom a command looks for garbage.

Nearly all that it makes (modules, AWS's service models, listings) lives until its end, so looking for garbage among it
would be a fifth of the time of a plan, and half of reading a long listing.
"""

from __future__ import annotations

import gc

SELDOM = (500_000, 20, 100)


def seldom() -> None:
    """From now on; meant for a process that does one thing."""
    gc.set_threshold(*SELDOM)


def never() -> None:
    """At the end of such a process, where Python would look once more."""
    gc.freeze()
