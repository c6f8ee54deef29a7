"""From bytes to documents: everything YAML and editors do to a file is either harmless or named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.manifest import load
from orchestrator.problems import Problems

HEAD = b"apiVersion: orchestrator/v1\nkind: ContainerService\nmetadata:\n  name: api\nspec:\n"


def loaded(folder: Path, data: bytes) -> load.Sources:
    (folder / "api.yaml").write_bytes(data)
    return load.load(folder)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"03:00-04:00", "03:00-04:00"),
        (b"sun:04:30-sun:05:30", "sun:04:30-sun:05:30"),
        (b"2026-11-23", "2026-11-23"),
        (b"1.27.0", "1.27.0"),
        (b"=", "="),
        (b"1e3", "1e3"),
        (b"0x1F", 31),
        (b"1_000", 1000),
        (b"-3", -3),
        (b"1.5", 1.5),
        (b"yes", True),
        (b"Off", False),
        (b"~", None),
        (b'"no"', "no"),
        (b"|-\n    two\n    lines", "two\nlines"),
        (b"!!str 16", "16"),
        ("é €".encode(), "é €"),
        (b"{a: &x [1, 2], b: *x}", {"a": [1, 2], "b": [1, 2]}),
        (b"{on: 1, 8080: 2, 2026-11-23: 3}", {"on": 1, "8080": 2, "2026-11-23": 3}),
    ],
    ids=str,
)
def test_values_are_read(tmp_path: Path, value: bytes, read: object) -> None:
    """Plain JSON comes out; dates and keys stay text."""
    sources = loaded(tmp_path, HEAD + b"  value: " + value + b"\n")

    assert sources.problems == ()
    assert sources.documents[0].value["spec"]["value"] == read


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"22:30", "`22:30` is read by YAML as the number 1350 (base 60)"),
        (b"1:30.5", "`1:30.5` is read by YAML as the number 90.5 (base 60)"),
        (b"010", "`010` is read by YAML as the number 8 (octal)"),
        (b".nan", "`.nan` is not a number that JSON and AWS accept"),
        (b"1.0e+999", "`1.0e+999` is not a number that JSON and AWS accept"),
        (b"9" * 5000, f"`{'9' * 40}...` is too long for a number"),
        (b"1:" + b"59:" * 500 + b"00", "is not a valid number"),
        (b"!!binary aGk=", "the tag `!!binary` is not supported"),
        (b"!Ref x", "the tag `!Ref` is not supported"),
        (b"!!python/object/apply:os.system [id]", "the tag `!!python/object/apply:os.system` is not supported"),
        (b"!!int abc", "`abc` is not a valid number"),
        (b"&x [*x]", "an alias is inside its own anchor"),
        (b"{<<: {a: 1}}", "merge keys (`<<`) are not supported"),
        (b"{a: 1, a: 2}", "duplicate key `a`; first at api.yaml:6:11"),
        (b'{yes: 1, "yes": 2}', "duplicate key `yes`"),
        (b"{[a]: 1}", "a key must be text, not a list or a mapping"),
        (b"[" * 100 + b"]" * 100, "nested more than 40 levels deep"),
        (b"[" * 200_000, "nested more than 40 levels deep"),
        (b"- " * 100_000 + b"a", "a list"),
        (b"a\tb: \x00", "a NUL character is not allowed in YAML"),
        (b"\x07", "the control character U+0007 is not allowed in YAML"),
        ("\u2028".encode(), "the control character U+2028 is not allowed in YAML"),
        (b"caf\xe9", "invalid UTF-8 byte"),
        (b"%", "text cannot begin with `%`"),
    ],
    ids=lambda value: value[:30],
)
def test_surprises_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: bytes, message: str) -> None:
    """What YAML would read as something else, or not at all, is a problem on its line."""
    monkeypatch.chdir(tmp_path)
    sources = loaded(Path(), HEAD + b"  value: " + value + b"\n")

    assert [problem.where and problem.where.line for problem in sources.problems[:1]] == [6]
    assert message in sources.problems[0].message or message == "a list"


def test_aliases_cannot_explode(tmp_path: Path) -> None:
    """A thousand million laughs are one problem, at once."""
    lines = [b"  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [b"  a%d: &a%d [%s]" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 12)]
    sources = loaded(tmp_path, HEAD + b"\n".join(lines) + b"\n")

    assert [found.message for found in sources.problems] == ["more than 20000 values in one file (aliases included)"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + HEAD + b"  port: 1\n",
        HEAD.replace(b"\n", b"\r\n") + b"  port: 1\r\n",
        b"---\n" + HEAD + b"  port: 1\n---\n---\n# end\n",
        b"%YAML 1.1\n---\n" + HEAD + b"  port: 1\n...\n",
    ],
    ids=["byte order mark", "Windows", "empty documents", "directive"],
)
def test_editors_habits_are_harmless(tmp_path: Path, data: bytes) -> None:
    """A byte order mark, Windows line ends, empty documents and directives mean nothing."""
    sources = loaded(tmp_path, data)

    assert sources.problems == ()
    assert [document.value["spec"] for document in sources.documents] == [{"port": 1}]


def test_utf_16_is_named(tmp_path: Path) -> None:
    """What Windows calls Unicode is not UTF-8."""
    sources = loaded(tmp_path, (HEAD + b"  port: 1\n").decode().encode("utf-16"))

    assert [problem.message for problem in sources.problems] == ["invalid UTF-8 byte"]


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    """A file over 1 MB is here by mistake."""
    sources = loaded(tmp_path, b"# " + b"x" * 1_000_001)

    assert [problem.message for problem in sources.problems] == [
        "1.0 MB is too large for a manifest; the limit is 1 MB"
    ]


class TestFolder:
    def test_it_must_be_there(self, tmp_path: Path) -> None:
        """A folder that is missing is said so, with the way to name another."""
        with pytest.raises(Problems, match=r"no such folder: .*nowhere\n.*--manifests"):
            load.load(tmp_path / "nowhere")

    def test_a_file_is_none(self, tmp_path: Path) -> None:
        """A file in place of a folder is said so."""
        (tmp_path / "file").write_text("")

        with pytest.raises(Problems, match="file is not a folder"):
            load.load(tmp_path / "file")

    def test_a_name_that_no_system_allows(self, tmp_path: Path) -> None:
        """A NUL in the folder's name is a problem, not a traceback."""
        with pytest.raises(Problems, match="cannot read the folder"):
            load.load(tmp_path / "a\0b")

    def test_an_empty_folder_has_no_manifests(self, tmp_path: Path) -> None:
        """No manifest at all is never taken for "nothing is wanted"."""
        (tmp_path / "notes.txt").write_text("x")

        with pytest.raises(Problems, match=r"no manifests .* found in"):
            load.load(tmp_path)

    def test_folders_are_searched(self, tmp_path: Path) -> None:
        """Every depth, both suffixes, linked folders once, hidden ones never."""
        for name in ("a", "b/c", ".git"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "a/one.yaml").write_bytes(HEAD.replace(b"api", b"one", 2).replace(b"oneVersion", b"apiVersion"))
        (tmp_path / "b/c/two.yml").write_bytes(HEAD.replace(b"name: api", b"name: two"))
        (tmp_path / ".git/three.yaml").write_bytes(HEAD)
        (tmp_path / "b/loop").symlink_to(tmp_path)
        sources = load.load(tmp_path)

        assert sources.problems == ()
        assert [document.name for document in sources.documents] == ["one", "two"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_an_unreadable_file_is_named(self, tmp_path: Path) -> None:
        """Missing rights are a problem of that file."""
        (tmp_path / "api.yaml").write_bytes(HEAD)
        (tmp_path / "api.yaml").chmod(0)

        assert "cannot read the file" in load.load(tmp_path).problems[0].message

    def test_what_is_no_file_does_not_block(self, tmp_path: Path) -> None:
        """A pipe, a dangling link, a folder called like a manifest: named or passed by."""
        os.mkfifo(tmp_path / "pipe.yaml")
        (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere")
        (tmp_path / "self.yaml").symlink_to(tmp_path / "self.yaml")
        (tmp_path / "folder.yaml").mkdir()
        messages = [problem.message for problem in load.load(tmp_path).problems]

        assert messages == ["broken symbolic link", "not a regular file", "broken symbolic link"]

    def test_a_name_that_is_no_text(self, tmp_path: Path) -> None:
        """A file whose name is not UTF-8 can still be talked about."""
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.yaml"))).write_bytes(b"a: [")
        problem = load.load(tmp_path).problems[0]

        assert str(problem).encode()
