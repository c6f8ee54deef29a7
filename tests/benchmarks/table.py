"""Rows of the table, their ratios and targets, and the table as Markdown.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing: ours, theirs (texts with units), and the ratio that the target bounds from above.

    ``ratio`` None: not measured, and ``theirs`` says why.  ``target`` None: told without a promise.
    """

    title: str
    ours: str
    theirs: str
    ratio: float | None
    target: float | None
    runs: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the promise holds; None where there is none, or nothing was measured."""
        if self.ratio is None or self.target is None:
            return None
        return self.ratio <= self.target


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios of runs that were made side by side; the shorter list is told by its median.

    Pairs lie close in time, so what else the machine did weighs on both.
    """
    if len(ours) == len(theirs):
        return median(our_value / peer_value for our_value, peer_value in zip(ours, theirs, strict=True))
    return median(ours) / median(theirs)


def format_seconds(values: Iterable[float]) -> str:
    """The median, with the digits that mean something."""
    value = median(values)
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def format_megabytes(values: Iterable[int]) -> str:
    """The median in MB (10^6 bytes)."""
    return f"{median(values) / 1e6:.0f} MB"


def render_markdown(rows: Sequence[Row]) -> str:
    """The table; the last column says whether the target is met."""
    head = ("measure", "orchestrator", "peer", "ratio", "target", "met", "runs")
    body = [
        (
            row.title,
            row.ours,
            row.theirs,
            "-" if row.ratio is None else f"{row.ratio:.3f}" if row.ratio < 1 else f"{row.ratio:.2f}",
            "-" if row.target is None else f"<= {row.target:g}",
            {True: "yes", False: "**no**", None: "-"}[row.is_met],
            row.runs,
        )
        for row in rows
    ]
    lines = [head, ("---", "---:", "---:", "---:", "---:", "---", "---"), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
