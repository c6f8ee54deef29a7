"""Tab completion, asked in the real shells with the script that `orchestrator completion` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator
from orchestrator.cli.main import cli
from orchestrator.emulator import Emulator
from tests.earlier_versions.test_samples import SAMPLES
from tests.proofs import real_stack

pytestmark = pytest.mark.xdist_group("whole-stack")

MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files}
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec:
  name: shop-app
  data:
    Stripe:Key: {external: true}
    Stripe:Webhook: {external: true}
    Jwt:Issuer: shop
"""

STAGING = """
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files-staging}
"""
START = {
    "bash": 'eval "$(orchestrator completion bash)"',
    # compinit reads hundreds of files; of it, the script needs the function that registers it.
    "zsh": """
compdef() { [[ "$*" == "_orchestrator_completion orchestrator" ]] || print "registered $*" }
eval "$(orchestrator completion zsh)"
compadd() { print -l -- $completions }
_describe() { print -l -- ${completions_with_descriptions%%:*} }
""",
    "fish": "orchestrator completion fish | source",
}
ASK = {
    "bash": """
COMP_WORDS=({words}); COMP_CWORD={last}; COMPREPLY=()
_orchestrator_completion orchestrator
printf '%s\\n' "${{COMPREPLY[@]}}"
""",
    "zsh": "words=({words}); CURRENT={count}; _orchestrator_completion",
    "fish": "complete -C '{line}'",
}
"""How each shell is started, and how it is asked about a command line."""
COMMANDS_OF_SHELLS = {"bash": ["bash", "--norc"], "zsh": ["zsh", "-f"], "fish": ["fish", "--no-config"]}
CASES = [
    ("explain bucket.spec.enc", ["bucket.spec.encryption"]),
    ("plan -e st", ["staging"]),
    ("plan -f manifests --target s3_bucket.f", ["s3_bucket.files"]),
    ("secret set app Stripe:", ["Stripe:Key", "Stripe:Webhook"]),
    ("rollback -f {stack} --to ", ["1", "2", "3"]),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "manifests" / "environments").mkdir(parents=True)
    (tmp_path / "manifests" / "shop.yaml").write_text(MANIFESTS)
    (tmp_path / "manifests" / "environments" / "staging.yaml").write_text(STAGING)
    return tmp_path


@pytest.fixture
def releases(stack: Path) -> Iterator[Path]:
    """The manifests of a stack in an emulated AWS with three releases."""
    ledger = (SAMPLES / orchestrator.__version__ / "ledger.json").read_bytes()
    place = {"Bucket": "joiabagur-releases-prod", "Key": "ledger/prod.json"}
    real_stack.clients().call("s3", "put_object", {**place, "Body": ledger})
    yield stack
    real_stack.clients().call("s3", "delete_object", place)


def ask(shell: str, line: str) -> str:
    words = ["orchestrator", *(word or "''" for word in line.split(" "))]
    return ASK[shell].format(words=" ".join(words), last=len(words) - 1, count=len(words), line=f"orchestrator {line}")


@pytest.mark.parametrize("shell", START)
def test_each_shell_completes_values(shell: str, project: Path, releases: Path, whole_aws: Emulator) -> None:
    """Fields, environments, targets, keys with a colon, releases; in one shell, because starting one takes a while."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    script = "\n".join([START[shell], *(f"{ask(shell, line.format(stack=releases))}\necho ---" for line, _ in CASES)])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(project), **whole_aws.environment}
    done = subprocess.run(
        [*COMMANDS_OF_SHELLS[shell], "-c", script],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answers = [
        sorted(line.partition("\t")[0] for line in part.splitlines() if line)
        for part in done.stdout.split("---\n")[:-1]
    ]

    assert answers == [values for _, values in CASES], done.stderr


def complete(words: str, folder: Path) -> list[str]:
    """Return what click offers for the last word, without a shell."""
    from click.shell_completion import ShellComplete

    *before, incomplete = words.split(" ")
    position = 2 if before[0] in {"secret", "releases"} else 1
    arguments = [*before[:position], "-f", str(folder / "manifests"), *before[position:]]
    items = ShellComplete(cli, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE").get_completions(arguments, incomplete)
    return [str(item.value) for item in items]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("explain b", ["bucket", "budget"]),
        ("explain bucket.", ["bucket.apiVersion", "bucket.kind", "bucket.metadata", "bucket.spec"]),
        ("explain bucket.spec.nothing", []),
        ("explain nothing.spec.", []),
        ("plan --environment ", ["prod", "staging"]),
        ("apply --target bucket", ["bucket.files"]),
        ("secret list ", ["app"]),
        ("secret unset app Jwt", []),
        ("open ", ["site", "dashboard", "console"]),
        ("logs ", []),
        ("console ", ["database"]),
    ],
)
def test_values_come_from_schemas_and_manifests(words: str, offered: list[str], project: Path) -> None:
    assert complete(words, project) == offered


def test_what_cannot_be_read_has_no_completions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No manifests, no AWS: no word, and no traceback."""
    for words in ("apply --target ", "secret set ", "secret set app ", "rollback --to ", "releases show "):
        assert complete(words, tmp_path) == []
    assert capsys.readouterr() == ("", "")
