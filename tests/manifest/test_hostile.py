"""Whatever is in the files, the stage answers with Problems or with resources, and never with anything else."""

from __future__ import annotations

import contextlib
from pathlib import Path

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.manifest import check, expand, load
from orchestrator.problems import Problems

BASE = sorted((Path(__file__).parent / "base").glob("*.yaml"))
TEXTS = [path.read_text() for path in BASE]
INDICATORS = st.text("-:?[]{}&*!|>%@`\"'#,$ \n\tab10~<=./\0\ufeff\x85", max_size=60)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=4)
)
REFERENCES = st.sampled_from(
    ["${project.name}", "${bucket.web.name}", "${", "$${", "${a.b.c}", "bucket.web", "no", "22:30"]
)
VALUES = st.recursive(
    SCALARS | REFERENCES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


def survives(folder: Path, data: bytes) -> None:
    for path in BASE:
        (folder / path.name).write_text(path.read_text())
    (folder / "hostile.yaml").write_bytes(data)
    with contextlib.suppress(Problems):
        expand.expand(check.check(load.load(folder), None))


@given(data=st.binary(max_size=200))
@example(data=b"[" * 500_000)
@example(data=b'"\\ud800"')
@example(data=b"- &a [*a, *a]\n")
@example(data=b"? &a {? *a : *a}\n: *a\n")
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    """Bytes that are no manifest at all."""
    survives(tmp_path, data)


@given(text=INDICATORS)
def test_any_yaml(tmp_path: Path, text: str) -> None:
    """Text made of what means something to YAML."""
    survives(tmp_path, text.encode("utf-8", "surrogatepass"))


@given(data=st.data())
def test_a_good_manifest_with_one_line_destroyed(tmp_path: Path, data: st.DataObject) -> None:
    """A slip of the hand anywhere in a good manifest."""
    text = data.draw(st.sampled_from(TEXTS))
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 10))
    survives(tmp_path, (text[:at] + data.draw(INDICATORS) + text[at + cut :]).encode("utf-8", "surrogatepass"))


@given(data=st.data())
def test_a_good_manifest_with_one_value_replaced(tmp_path: Path, data: st.DataObject) -> None:
    """Any value where another was meant."""
    documents = [document for text in TEXTS for document in yaml.safe_load_all(text)]
    document = data.draw(st.sampled_from(documents))
    target = document
    while True:
        keys = list(target) if isinstance(target, dict) else list(range(len(target)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(target[key], dict | list) or not target[key] or data.draw(st.booleans()):
            break
        target = target[key]
    target[key] = data.draw(VALUES)
    survives(tmp_path, yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))
