"""Render a Markdown comment in the style of GitHub."""

from __future__ import annotations

import re

STYLE = """
body { margin: 0; padding: 16px; background: #fff; font: 14px/1.5 "DejaVu Sans", sans-serif; color: #1f2328; }
.box { border: 1px solid #d1d9e0; border-radius: 6px; overflow: hidden; }
.who { background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px; color: #59636e; }
.who b { color: #1f2328; } .said { padding: 4px 16px 12px; }
code { background: #eff1f3; border-radius: 6px; padding: .15em .4em; }
code, pre { font: 85%/1.45 "DejaVu Sans Mono", monospace; }
pre { background: #f6f8fa; border-radius: 6px; padding: 12px; overflow: hidden; margin: 8px 0; }
pre code { background: none; padding: 0; font-size: 100%; }
summary { margin: 6px 0; } sub { color: #59636e; } h3 { margin: 12px 0 8px; font-size: 1.2em; }
blockquote { border-left: 4px solid #d1242f; margin: 12px 0; padding: 0 16px; }
blockquote .alert { color: #d1242f; font-weight: 600; }
.add { background: #dafbe1; color: #116329; display: block; }
.del { background: #ffebe9; color: #82071e; display: block; }
.hot { color: #953800; display: block; } .say { color: #59636e; display: block; }
"""
_LINE_CLASSES = {"+": "add", "-": "del", "!": "hot", "#": "say"}


def render_page(markdown: str) -> str:
    """Render the comment in a box, with only the first two sections unfolded."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": True}).render(markdown)
    body = body.replace("<details>", "<details open>", 2).replace(
        "[!CAUTION]", '<span class="alert">Caution</span><br>'
    )
    body = re.sub(r'<pre><code class="language-diff">(.*?)</code></pre>', _colour_diff, body, flags=re.DOTALL)
    header = '<div class="who"><b>github-actions</b> bot commented</div>'
    return (
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><div class="box">{header}<div class="said">{body}'
    )


def _colour_diff(match: re.Match[str]) -> str:
    lines = [
        f'<span class="{_LINE_CLASSES.get(line[:1], "")}">{line}</span>' for line in match[1].rstrip("\n").split("\n")
    ]
    return f"<pre><code>{''.join(lines)}</code></pre>"
