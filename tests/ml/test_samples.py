"""The samples of docs/how-to/use-models-in-your-code.md do what it says: in a browser, with a real model."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ml.evaluation import browser as served
from orchestrator.manifest import schema
from orchestrator.model_registry import registry
from orchestrator.storage.local import LocalFileStorage
from tests.ml import fast_training, sample_photos
from tests.state.pages.page_view import open_page

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
SAMPLES = Path(__file__).parents[2] / "docs/samples"
PAGE = """<!doctype html><title>Sample</title><script type="importmap">{"imports": {"react": "./react.js"}}</script>"""
REACT = """
// The four hooks as React defines them, for one component that is rendered by hand.
const cells = []; let at = 0; let cleanup = [];
export const useState = first => { const i = at++; cells[i] ??= first; return [cells[i], v => { cells[i] = v; }]; };
export const useRef = first => { const i = at++; cells[i] ??= { current: first }; return cells[i]; };
export const useCallback = f => f;
export const useEffect = (run, deps) => {
  const i = at++; if (cells[i]?.join() === deps.join()) return; cells[i] = deps; cleanup.push(run());
};
export const render = hook => { at = 0; return hook(); };
export const unmount = () => { for (const end of cleanup) end(); };
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two exports, v1 and v2, and the scripts that a shop copies."""
    folder = tmp_path_factory.mktemp("shop")
    fast_training.make_photos(folder)
    site = folder / "site"
    site.mkdir()
    for version in ("v1", "v2"):
        fast_training.train(folder / "runs" / version, folder / "data", version)
        from ml.export import writer
        from ml.training_run import load

        writer.export(load(folder / "runs" / version), folder / "runs" / version)
    for path in (*SAMPLES.glob("*.js"), served.WEB_FOLDER / "predict.js"):
        shutil.copy(path, site)
    (site / "page.html").write_text(PAGE)
    (site / "react.js").write_text(REACT)
    return folder


def files(shop: Path) -> dict[str, Path]:
    """What the distribution serves below /ml-models/."""
    return {
        f"/ml-models/{version}/{path.name}": path
        for version in ("v1", "v2")
        for path in (shop / "runs" / version / "web").iterdir()
    }


def pointer(version: str) -> dict[str, Any]:
    folder = f"ml-models/{version}"
    return {"version": version, "model": f"{folder}/model.json", "metadata": f"{folder}/metadata.json",
            "sha256": "0" * 64}  # fmt: skip


LOAD = """async () => {
  const { createProductModel } = await import('./product-model.js');
  window.told = [];
  const onChange = ({ status, version }) => told.push(status + version);
  window.product = createProductModel('/ml-models/current.json', { onChange });
  await product.refresh();
}"""
ASK = """async () => {
  const photo = await (await fetch('/photo.jpg')).blob();
  const { products, none, decision } = await product.recognise(photo);
  return { first: products[0].product, sum: none + products.reduce((sum, one) => sum + one.probability, 0), decision };
}"""


def test_the_page_follows_new_models(browser: Any, shop: Path) -> None:
    """It takes a new version when one is published; keeps the old one if it is gone; works without a network."""
    documents = {"/ml-models/current.json": pointer("v1")}
    (shop / "photo.jpg").write_bytes(sample_photos.draw_photo(2, 70))
    served_files = {**files(shop), "/photo.jpg": shop / "photo.jpg"}
    with served.serve([shop / "site"], served_files, documents) as site, open_page(browser) as seen:
        seen.open(f"{site.address}/page.html")
        seen.page.evaluate(LOAD)
        answer = seen.page.evaluate(ASK)
        assert answer["first"] == "p2"
        assert 0.3 < answer["sum"] <= 1.000001
        assert seen.page.evaluate("product.version") == "v1"
        documents["/ml-models/current.json"] = pointer("v2")
        seen.page.evaluate("product.refresh()")
        assert seen.page.evaluate("product.version") == "v2"
        documents["/ml-models/current.json"] = pointer("v9")
        seen.page.evaluate("product.refresh()")
        assert seen.page.evaluate("[product.version, ...told]") == ["v2", "loading", "readyv1", "readyv2", "readyv2"]
        seen.page.context.set_offline(True)
        seen.page.evaluate("product.refresh()")
        assert seen.page.evaluate("product.version") == "v2"


class CloudFrontHeaders(BaseHTTPRequestHandler):
    """Serves the page, one model and its pointer, with the headers that uploads give them (README, "cache headers")."""

    files: Mapping[str, bytes]

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/javascript" if self.path.endswith(".js") else "text/html")
        keeps = self.path.startswith("/ml-models/v1/")
        self.send_header("Cache-Control", "public, max-age=31536000, immutable" if keeps else "no-cache")
        self.send_header("ETag", f'"{zlib.crc32(body or b"")}"')
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Say nothing."""


def test_a_model_that_was_loaded_is_there_without_a_network(browser: Any, shop: Path) -> None:
    """Its pointer from the cache, though it is to be asked for each time; one that was never loaded is an error."""
    documents = {f"/ml-models/{name}.json": json.dumps(pointer("v1")).encode() for name in ("current", "other")}
    contents = {path: file.read_bytes() for path, file in files(shop).items()} | documents
    contents |= {f"/{file.name}": file.read_bytes() for file in (shop / "site").iterdir()}
    script = """async address => {
      const { load } = await import('/predict.js');
      return load(address, { worker: false }).then(model => model.document.version, error => error.name);
    }"""
    handler = type("Handler", (CloudFrontHeaders,), {"files": contents})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, open_page(browser) as seen:
        Thread(target=server.serve_forever, daemon=True).start()
        seen.open(f"http://127.0.0.1:{server.server_address[1]}/page.html")
        with_network = seen.page.evaluate(script, "/ml-models/current.json")
        seen.page.context.set_offline(True)
        without = [seen.page.evaluate(script, f"/ml-models/{name}.json") for name in ("current", "other")]
        server.shutdown()

    assert (with_network, without) == ("v1", ["v1", "TypeError"])


def test_the_hook_says_how_it_stands(browser: Any, shop: Path) -> None:
    """Loading, then ready; unavailable where there is no model, with the reason."""
    documents = {"/ml-models/current.json": pointer("v1")}
    script = """async address => {
      const { render, unmount } = await import('react');
      const { useProductModel } = await import('./use-product-model.js');
      const first = render(() => useProductModel(address)).status;
      let now; for (let i = 0; i < 200; i++) {
        now = render(() => useProductModel(address));
        if (now.status !== 'loading') break;
        await new Promise(done => setTimeout(done, 50));
      }
      unmount();
      return [first, now.status, now.version, now.error?.message ?? ''];
    }"""
    with served.serve([shop / "site"], files(shop), documents) as site:
        for address, wanted in (("/ml-models/current.json", ["loading", "ready", "v1", ""]),
                                ("/ml-models/none.json", ["loading", "unavailable", ""])):  # fmt: skip
            with open_page(browser) as seen:
                seen.open(f"{site.address}/page.html")
                told = seen.page.evaluate(script, address)
                assert told[: len(wanted)] == wanted, told
    assert "HTTP 404" in told[-1]


def test_the_backend_reads_what_is_published(tmp_path: Path) -> None:
    """No .NET is needed for that: every name the sample reads is one that the schemas require or allow."""
    text = (SAMPLES / "ProductModels.cs").read_text()
    names = {}
    for record, body in re.findall(r"record (\w+)\((.*?)\)[;\n {]", text, re.DOTALL):
        names[record] = set(re.findall(r'JsonPropertyName\("(\w+)"\)', body))
    model, found = schema.load("model")["properties"], schema.load("model-pointer")

    assert names["ModelPointer"] == set(found["required"])
    assert names["ModelMetadata"] <= set(model)
    assert names["ModelPreprocessing"] <= set(model["preprocessing"]["properties"])
    assert names["ModelMetrics"] <= set(model["metrics"]["properties"])
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")")
    storage = LocalFileStorage(tmp_path)
    storage.put(registry.POINTER_KEY, json.dumps(pointer("v1")).encode())
    assert Draft202012Validator(dict(found)).is_valid(json.loads(storage.download(registry.POINTER_KEY)))
