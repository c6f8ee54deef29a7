"""Draw a graph of components as an SVG: in columns, what is needed to the right.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

BOX_HEIGHT: Final = 36
CHARACTER_WIDTH: Final = 8
PADDING: Final = 16
GAP_X: Final = 90
GAP_Y: Final = 20
_STYLE: Final = """\
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2328 }
rect { fill: #f6f8fa; stroke: #8c959f }
path { fill: none; stroke: #57606a; stroke-width: 1.3 }
marker path { fill: #57606a; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } rect { fill: #161b22; stroke: #6e7681 }
  path { stroke: #9198a1 } marker path { fill: #9198a1 }
}"""
_ARROW: Final = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker>'
)


def render_svg(components: Sequence[str], edges: Iterable[tuple[str, str]]) -> str:
    """Return a document of its own, in light or dark colours as the reader's system has them.

    Two components that need each other are joined by one line with two arrowheads.
    """
    needs = dict.fromkeys(edges)
    columns = _arrange(components, list(needs))
    width = CHARACTER_WIDTH * max(map(len, components), default=0) + PADDING
    places = {
        name: (PADDING + column * (width + GAP_X), PADDING + row * (BOX_HEIGHT + GAP_Y))
        for column, names in enumerate(columns)
        for row, name in enumerate(names)
    }
    height = max((y for _, y in places.values()), default=0) + BOX_HEIGHT + PADDING
    total_width = max((x for x, _ in places.values()), default=0) + width + PADDING
    size = f'viewBox="0 0 {total_width} {height}" width="{total_width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>Dependencies between components</title>',
        f"<style>{_STYLE}</style><defs>{_ARROW}</defs>",
        *(
            _draw_edge(places, edge, width, is_mutual=edge[::-1] in needs)
            for edge in needs
            if edge[::-1] not in needs or edge[0] < edge[1]
        ),
        *(_draw_box(name, *place, width) for name, place in places.items()),
    ]
    return "\n".join([*lines, "</svg>"])


def _arrange(components: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return the components of each column: each is to the left of what it needs, except in a circle."""
    targets: dict[str, list[str]] = {name: [] for name in components}
    for source, target in edges:
        targets[source].append(target)
    depths: dict[str, int] = {}

    def depth(name: str, path: frozenset[str]) -> int:
        if name not in depths:
            further = [depth(target, path | {name}) for target in targets[name] if target not in path | {name}]
            depths[name] = 1 + max(further, default=-1)
        return depths[name]

    for name in components:
        depth(name, frozenset())
    last = max(depths.values(), default=-1)
    return [[name for name in components if last - depths[name] == column] for column in range(last + 1)]


def _draw_box(name: str, x: int, y: int, width: int) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text x="{x + width / 2:g}" y="{y + BOX_HEIGHT / 2 + 4:g}" text-anchor="middle">{escape(name)}</text>'
    )


def _draw_edge(places: Mapping[str, tuple[int, int]], edge: tuple[str, str], width: int, *, is_mutual: bool) -> str:
    """Draw a curve from the side of one box to the facing side of the other; in one column, around their right."""
    (from_x, from_y), (to_x, to_y) = (places[name] for name in edge)
    from_y, to_y = from_y + BOX_HEIGHT // 2, to_y + BOX_HEIGHT // 2
    bend = GAP_X // 2
    if from_x == to_x:
        from_x, to_x, exit_x, entry_x = from_x + width, to_x + width, bend, bend
    elif from_x < to_x:
        from_x, exit_x, entry_x = from_x + width, bend, -bend
    else:
        to_x, exit_x, entry_x = to_x + width, -bend, bend
    start = ' marker-start="url(#arrow)"' if is_mutual else ""
    curve = f"M{from_x} {from_y}C{from_x + exit_x} {from_y} {to_x + entry_x} {to_y} {to_x} {to_y}"
    return f'<path d="{curve}" marker-end="url(#arrow)"{start}/>'
