"""Build the documentation site: ``python -m tests.docs_site FOLDER``.

The pages keep their places in the repository, so that every link works both there and on the site.  The order of the
pages is that of docs/README.md.  Beside the pages lie their sources (``.md``), the JSON Schemas, and ``llms.txt``, an
index of the sources for language models (llmstxt.org).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
INDEX = Path("docs/README.md")
ROOT_PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "ml/README.md")
LINKED_FOLDERS = ("manifests", "schemas")
"""Folders to which pages link; on the site each is a page that lists its files."""

_ITEM = re.compile(r"(?:\d+\.|[*-]) +")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#]+\.md)[^)]*\)")


def build(site: Path) -> None:
    """Build the site into ``site``, which is replaced.  Raises CalledProcessError if a link or a heading is missing."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        pages = list(_copy_pages(source))
        config = {
            **yaml.safe_load((ROOT / "docs" / "mkdocs.yml").read_text()),
            "docs_dir": str(source),
            "site_dir": str(site),
            "nav": _navigation(),
        }
        config_path = Path(folder) / "mkdocs.yml"
        config_path.write_text(yaml.safe_dump(config, sort_keys=False))
        command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--clean", "--config-file", str(config_path)]
        subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"})
        for page in pages:
            shutil.copy(source / page, site / page)
    (site / "llms.txt").write_text(_render_llms_index())


def _copy_pages(source: Path) -> Iterator[Path]:
    """Copy what the site is made of; yield the paths of the pages."""
    shutil.copytree(ROOT / "docs", source / "docs", ignore=shutil.ignore_patterns("mkdocs.yml"))
    for folder in LINKED_FOLDERS:
        shutil.copytree(ROOT / folder, source / folder)
        files = sorted(path.name for path in (ROOT / folder).iterdir() if path.is_file())
        listing = "\n".join(f"* [{name}]({name})" for name in files)
        (source / folder / "README.md").write_text(f"# {folder}\n\n{listing}\n")
    for page in (*ROOT_PAGES, "orchestrator/emulator/README.md", "LICENSE"):
        (source / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, source / page)
    for path in source.rglob("*.md"):
        path.write_text(indent_lists(_point_to_pages(path.read_text())))
    yield from sorted(path.relative_to(source) for path in source.rglob("*.md"))


def _point_to_pages(text: str) -> str:
    """Return a page whose links to folders lead to the page that lists their files."""
    for folder in LINKED_FOLDERS:
        text = re.sub(rf"(\]\((?:\.\./)*{re.escape(folder)})/?\)", r"\1/README.md)", text)
    return text


def indent_lists(text: str) -> str:
    """Return a page whose list items continue four columns in.

    GitHub takes what is below the text of an item as part of it; Python-Markdown wants four columns, and begins a new
    list after a code block otherwise.
    """
    return "\n".join(_indent_items(text.splitlines())) + "\n"


def _indent_items(lines: list[str]) -> Iterator[str]:
    is_code, position = False, 0
    while position < len(lines):
        line = lines[position]
        position += 1
        is_code ^= line.startswith("```")
        yield line
        marker = None if is_code else _ITEM.match(line)
        if marker is None:
            continue
        width, first = len(marker[0]), position
        while position < len(lines) and (not lines[position].strip() or lines[position].startswith(" " * width)):
            position += 1
        for inner in _indent_items([inner[width:] for inner in lines[first:position]]):
            yield f"    {inner}" if inner else ""


def _sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the sections of the index: its title and (title, path) of each page."""
    for section in (ROOT / INDEX).read_text().split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        entries = [
            (name, (INDEX.parent / target).as_posix())
            for name, target in _LINK.findall(body)
            if not target.startswith("..")
        ]
        yield title, entries


def _navigation() -> list[dict[str, object]]:
    sections: list[dict[str, object]] = [
        {title: [{name: path} for name, path in entries]} for title, entries in _sections()
    ]
    more = [{"Changelog": "CHANGELOG.md"}, {"Contributing": "CONTRIBUTING.md"}, {"Train a model": "ml/README.md"}]
    return [{"Home": "README.md"}, *sections, {"More": more}]


def _render_llms_index() -> str:
    summary = yaml.safe_load((ROOT / "docs" / "mkdocs.yml").read_text())["site_description"]
    lines = ["# orchestrator", "", f"> {summary}"]
    for title, entries in _sections():
        lines += ["", f"## {title}", "", *(f"- [{name}]({path})" for name, path in entries)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
