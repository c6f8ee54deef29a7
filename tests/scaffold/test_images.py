"""Dockerfiles that `init` writes are built and answer: by buildah, with stand-ins for the bases of registries.

A stand-in is an almost empty image; this machine's /usr is mounted into it, with the real node, npm and pip.
`apt-get` and .NET's SDK do not run here: theirs are small programs that hold the Dockerfile to what the real ones
need. The certificates of RDS, which a Dockerfile adds from AWS, are left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.artefacts.images import dockerfile, dockerfile_parser
from orchestrator.demo.build_store import write_storage_config
from orchestrator.scaffold import dockerfiles
from tests.scaffold.test_detection import APIS, checkout

pytestmark = [pytest.mark.slow, pytest.mark.real_parts]
MOUNT = ("--isolation", "chroot", "--volume", "/usr:/usr:ro")
SEARCH_PATH = "/stub:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
NODE_SERVER = "require('http').createServer((q, r) => r.end('node ' + q.url)).listen(process.env.PORT, '0.0.0.0')\n"
PYTHON_SERVER = """\
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"python " + self.path.encode())
http.server.HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
SDK = """\
#!/usr/bin/python3
import os, re, shutil, sys
def projects(path):
    assert os.path.isfile(path), f"error MSB3202: the project file {path} was not found"
    for reference in re.findall('Include="([^"]+)"', open(path).read()):
        yield from projects(os.path.normpath(os.path.join(os.path.dirname(path), reference.replace("\\\\", "/"))))
    yield path
verb = sys.argv[1]
if verb == "restore":
    assert len(list(projects(sys.argv[2]))) == 3 and os.path.isfile("Directory.Packages.props")
elif verb == "publish":
    os.makedirs("/app")
    shutil.copy("server.py", "/app/" + os.path.basename(sys.argv[2]).replace(".csproj", ".dll"))
else:
    os.environ["PORT"] = os.environ["ASPNETCORE_HTTP_PORTS"]
    exec(open(verb).read())
"""
LOCK = '{"name": "api", "lockfileVersion": 3, "requires": true, "packages": {"": {"name": "api"}}}'
APPLICATIONS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "node": (
        {
            "api/package.json": json.dumps({"name": "api", "scripts": {"start": "node src/main.js"}}),
            "api/package-lock.json": LOCK,
            "api/src/main.js": NODE_SERVER,
        },
        "node",
    ),
    "python-pyproject": (
        {"pyproject.toml": "[project]\ndependencies = []\n[tool.hatch]\n", "app.py": PYTHON_SERVER},
        "python3",
    ),
    "dotnet": ({**APIS["dotnet-solution"][0], "src/server.py": PYTHON_SERVER}, "python3"),
}
"""Files of an application, and the program that has to be on this machine."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An image store with the stand-ins, as the environment of buildah."""
    if shutil.which("buildah") is None:
        pytest.skip("needs buildah")
    folder = tmp_path_factory.mktemp("images")
    environment = {**os.environ, **write_storage_config(folder / "store", "vfs", "buildah")}
    root = folder / "root"
    for name in ("tmp", "etc", "stub", "usr", "root", "var", "proc", "dev"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    users = {"root": 0, "node": 1000, "app": 1001}
    (root / "etc/passwd").write_text(
        "".join(f"{user}:x:{number}:{number}::/:/bin/sh\n" for user, number in users.items())
    )
    (root / "etc/group").write_text("root:x:0:\nnode:x:1000:\napp:x:1001:\n")
    for name, text in {"apt-get": "#!/bin/sh\n", "useradd": "#!/bin/sh\n", "dotnet": SDK}.items():
        (root / "stub" / name).write_text(text)
        (root / "stub" / name).chmod(0o755)
    (root / "stub" / "python").symlink_to("/usr/bin/python3")
    (folder / "Dockerfile").write_text(f"FROM scratch\nCOPY root /\nENV PATH={SEARCH_PATH}\n")
    buildah(environment, "build", "--quiet", "--tag", "stand-in", str(folder))
    yield environment
    subprocess.run(["buildah", "rm", "--all"], env=environment, capture_output=True, check=False)


def buildah(environment: Mapping[str, str], *words: str) -> str:
    done = subprocess.run(["buildah", *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", APPLICATIONS)
def test_it_is_built_and_answers(name: str, store: dict[str, str], tmp_path: Path) -> None:
    """With the port that the runtime sets, not as root, from exactly the files of the context."""
    files, program = APPLICATIONS[name]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    (api,) = checkout(tmp_path, dict(files)).apis
    for file, text in dockerfiles.render_files(api).items():
        (tmp_path / api.folder / file).write_text(re.sub(r"^ADD .*https://.*\n", "", text, flags=re.MULTILINE))
    text = (tmp_path / api.folder / "Dockerfile").read_text()
    for base in dockerfile.find_base_images(text, {}, "linux/amd64"):
        buildah(store, "tag", "localhost/stand-in", f"docker.io/{'' if '/' in base.image else 'library/'}{base.image}")
        if base.image.partition("/")[0].count("."):
            buildah(store, "tag", "localhost/stand-in", base.image)

    buildah(store, "build", *MOUNT, "--pull-never", "--tag", name, str(tmp_path / api.folder))

    with running(store, name, text) as url:
        assert read(f"{url}/health") == f"{ {'dotnet': 'python'}.get(name, name.partition('-')[0]) } /health"


@contextmanager
def running(store: dict[str, str], image: str, text: str) -> Iterator[str]:
    """Run the image's entry point on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    container = buildah(store, "from", "--pull-never", image)
    entry = json.loads(
        [rest for _, keyword, rest in dockerfile_parser.parse_instructions(text) if keyword == "ENTRYPOINT"][-1]
    )
    command = ["buildah", "run", *MOUNT, "--env", f"PORT={port}", container, "--", "/bin/sh", *entry[1:]]
    process = subprocess.Popen(command, env=store, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read(url: str) -> str:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
