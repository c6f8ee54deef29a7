"""Define the rows of the benchmark table, and render it as Markdown.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: ours and theirs as text with units, and the ratio with its upper bound, ``target``.

    ``ratio`` None: not measured, and ``theirs`` says why.  ``target`` None: no target.
    """

    title: str
    ours: str
    theirs: str
    ratio: float | None
    target: float | None
    runs: str = ""

    @property
    def is_met(self) -> bool | None:
        """Return whether the target is met; None if there is no target or no measurement."""
        if self.ratio is None or self.target is None:
            return None
        return self.ratio <= self.target


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the pairwise ratios, or the ratio of the medians if the numbers of runs differ.

    The runs of a pair are close in time, so other load on the machine affects both.
    """
    if len(ours) == len(theirs):
        return median(our_value / peer_value for our_value, peer_value in zip(ours, theirs, strict=True))
    return median(ours) / median(theirs)


def format_seconds(values: Iterable[float]) -> str:
    """Format the median with its significant digits."""
    value = median(values)
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def format_megabytes(values: Iterable[int]) -> str:
    """Format the median in MB (10^6 bytes)."""
    return f"{median(values) / 1e6:.0f} MB"


def render_markdown(rows: Sequence[Row]) -> str:
    """Render the table, with a column that says whether the target is met."""
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
