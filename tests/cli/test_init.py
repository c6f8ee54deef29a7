"""`orchestrator init`: Dockerfiles fit for production, and nothing that was there is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.artefacts.images import dockerfile, ignore
from orchestrator.cli.init import TEMPLATES
from orchestrator.cli.main import main
from orchestrator.problems import Exit


def write(folder: Path, template: str, *more: str) -> int:
    return main(["init", "--template", template, *more, str(folder)])


@pytest.mark.parametrize("template", TEMPLATES)
class TestTemplate:
    def test_it_is_fit_for_production(self, template: str, tmp_path: Path) -> None:
        """Stages, bases that name a version, no root, port 8080, and a health check on /health."""
        assert write(tmp_path / "app", template) == Exit.OK
        text = (tmp_path / "app" / "Dockerfile").read_text()
        said = [(keyword, rest) for _, keyword, rest in dockerfile.instructions(text)]
        last = said[max(index for index, (keyword, _) in enumerate(said) if keyword == "FROM") :]
        final = dict(last)

        assert len(dockerfile.stages(text)) > 1
        assert [base.image for base in dockerfile.bases(text, {}, "linux/amd64") if ":" not in base.image] == []
        assert ":latest" not in text
        assert final["USER"] not in ("", "root", "0")
        assert final["EXPOSE"] == "8080"
        assert "http://127.0.0.1:8080/health" in final["HEALTHCHECK"]
        assert final["ENTRYPOINT"].startswith("[")
        assert "exec " in final["ENTRYPOINT"]
        assert [keyword for keyword, _ in last].index("USER") > max(
            index for index, (keyword, _) in enumerate(last) if keyword in ("RUN", "COPY")
        )

    def test_packages_are_installed_anew_only_when_their_list_changes(self, template: str, tmp_path: Path) -> None:
        """The list is copied and the packages installed before the code is copied."""
        write(tmp_path, template)
        said = [
            f"{keyword} {rest}" for _, keyword, rest in dockerfile.instructions((tmp_path / "Dockerfile").read_text())
        ]
        install = next(index for index, line in enumerate(said) if re.search(r"restore|pip install|npm ci", line))

        assert install < said.index("COPY . .")

    def test_no_secret_and_no_history_is_built_in(self, template: str, tmp_path: Path) -> None:
        """.git, .env files and what a build makes stay out of the context."""
        write(tmp_path, template)
        known = ignore.patterns(tmp_path / ".dockerignore")
        none = (False,) * len(known)

        assert all(ignore.judge(path, known, none)[0] for path in (".git", ".env", "deep/.env.local", "Dockerfile"))
        assert not ignore.judge("src", known, none)[0]

    def test_nothing_is_written_over_unasked(
        self, template: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One file in the way, and none is written; --force writes over it."""
        (tmp_path / "Dockerfile").write_text("mine")

        assert write(tmp_path, template) == Exit.FAILED
        assert "--force" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]
        assert (tmp_path / "Dockerfile").read_text() == "mine"
        assert write(tmp_path, template, "--force") == Exit.OK
        assert (tmp_path / "Dockerfile").read_text() != "mine"


def test_dotnet_is_built_with_its_sdk_and_runs_on_its_runtime(tmp_path: Path) -> None:
    """.NET 10; the runtime image has no curl of its own."""
    write(tmp_path, "dotnet")
    text = (tmp_path / "Dockerfile").read_text()

    assert [base.image for base in dockerfile.bases(text, {}, "linux/amd64")] == [
        "mcr.microsoft.com/dotnet/sdk:10.0",
        "mcr.microsoft.com/dotnet/aspnet:10.0",
    ]
    assert "install --yes --no-install-recommends curl" in text
