"""The wheel and the sdist: complete, installable beside nothing else, and what the release workflow publishes."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from email import message_from_string
from pathlib import Path

import pytest

import orchestrator

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("distribution")]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` builds."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, and the packages that the lock file has; not this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    packages = next(path for path in sys.path if path.endswith("site-packages") and (Path(path) / "boto3").is_dir())
    (site / "packages.pth").write_text(f"{packages}\n")
    return folder


def run(installed: Path, folder: Path, *arguments: str) -> str:
    """Run the command of the wheel, outside of any checkout."""
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "HOME": str(folder),
    }
    command = [str(installed / "bin" / "python"), "-m", "orchestrator", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked(prefix: str) -> set[str]:
    listing = subprocess.run(["git", "ls-files", prefix], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listing.stdout.split())


def test_the_wheel_has_every_file_of_the_package_and_the_schemas(dist: Path) -> None:
    """Templates, style sheets, scripts, prices, the stack of the demo; nothing of tests."""
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}

    expected = tracked("orchestrator") | {f"orchestrator/{name}" for name in tracked("schemas")}
    expected |= {f"orchestrator/demo/{name}" for name in tracked("manifests")}
    assert len(expected) > 400
    assert names == expected


def test_the_metadata_names_what_is_published(dist: Path) -> None:
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [path] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(archive.read(path).decode())

    assert (metadata["Name"], metadata["Version"]) == ("gitops-orchestrator", orchestrator.__version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"service", "emulator", "ml"} <= set(metadata.get_all("Provides-Extra", []))


def test_the_sdist_builds_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    [sdist] = dist.glob("*.tar.gz")
    [wheel] = dist.glob("*.whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "out")]
    subprocess.run(command, cwd=source, check=True)

    [rebuilt] = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(rebuilt) as second:
        assert {item.filename: item.CRC for item in first.infolist()} == {
            item.filename: item.CRC for item in second.infolist()
        }


def test_the_wheel_works_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    """It finds its schemas, prices and templates inside of the package."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "shop.yaml").write_text(
        "apiVersion: orchestrator/v1\nkind: Project\nmetadata: {name: shop}\n"
        'spec: {repository: my-team/shop, region: eu-west-1, account: "123456789012"}\n'
        "---\napiVersion: orchestrator/v1\nkind: Bucket\nmetadata: {name: photos}\nspec: {name: shop-photos-eu}\n"
    )

    assert run(installed, tmp_path, "--version").strip().endswith(orchestrator.__version__)
    assert "valid" in run(installed, tmp_path, "validate")
    assert "KIND:     Bucket" in run(installed, tmp_path, "explain", "bucket")
    assert "About 0.11 USD a month" in run(installed, tmp_path, "cost")
    shipped = next(installed.glob("lib/python*/site-packages")) / "orchestrator" / "demo" / "manifests"
    assert "valid" in run(installed, tmp_path, "validate", "-f", str(shipped))
    where = run(installed, tmp_path, "completion", "bash")
    assert "orchestrator" in where
    shown = subprocess.run(
        [str(installed / "bin" / "python"), "-c", "import orchestrator; print(orchestrator.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(installed) in shown.stdout
    assert sysconfig.get_paths()["purelib"] not in shown.stdout
