"""A trained model as a browser loads it: ``model.json`` and one file of weights.  ``python -m ml.export runs/VERSION``.

Why a format of our own: the runtimes that read ONNX, LiteRT or TensorFlow.js weigh 2 to 14 MB, and the model itself
is a dozen kinds of operations, which ``ml/web/predict.js`` runs without a runtime.  docs and ``make bench`` have the
numbers.  Weights are float32, or float16 for half the size where parity allows it (``ml.evaluation.parity``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.atomic_files import write_whole
from ml.export.exported_model import FORMAT, MODEL
from ml.export.op_graph import Array, Graph, Op, graph_of
from orchestrator import canonical_json
from orchestrator.problems import Problems

if TYPE_CHECKING:
    from ml.training_run import Preprocessing, Run

FOLDER = "web"
"""Where in a run's folder the export goes."""
TYPES = {"float32": "f4", "float16": "f2"}


def export(run: Run, folder: Path, weights: str = "float32") -> Path:
    """Export the model of the run in ``folder``; the folder of the export.

    Raises Problems: the model cannot be run by a browser, or does not fit its contract.
    """
    target = folder / FOLDER
    model = loaded(folder)
    write(model, run.preprocessing, target, version=run.version, weights=weights, near=nearest(run, folder))
    return target


def write(
    model: Any,
    contract: Preprocessing,
    target: Path,
    *,
    version: str = "",
    weights: str = "float32",
    near: tuple[Mapping[str, Any], Array] | None = None,
) -> int:
    """Write a Keras model and its contract to ``target``; the bytes that a browser has to load.

    Raises Problems.
    """
    graph = graph_of(_with_embedding(model))
    size = graph.ops[0].shape
    units = next(op.shape for op in graph.ops if op.name == graph.outputs["probabilities"])
    if size != (contract.size, contract.size, 3) or units != (len(contract.classes),):
        raise Problems.one(
            f"the model takes {size} and gives {units}, its contract says {contract.size} pixels and "
            f"{len(contract.classes)} classes",
            hint="train again: run.json belongs to another model",
        )
    ops, data = _packed(graph, TYPES[weights])
    said: dict[str, Any] = {}
    if near is not None:
        place = len(data) // np.dtype(TYPES[weights]).itemsize
        said = {"nearest": {**near[0], "vectors": [place, list(near[1].shape)]}}
        data += near[1].astype(f"<{TYPES[weights]}").tobytes()
    sums = hashlib.sha256(data).hexdigest()
    file = f"weights-{sums[:12]}.bin"
    document = {
        "format": FORMAT, "version": version, "ops": ops, "outputs": dict(graph.outputs),
        "preprocessing": json.loads(canonical_json.dump(contract)), "preprocessing_hash": contract.hash,
        "weights": {"file": file, "type": TYPES[weights], "sha256": sums, "bytes": len(data)},
        **said,
    }  # fmt: skip
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    for old in target.glob("weights-*.bin"):
        old.unlink()
    write_whole(target / file, data)
    write_whole(target / MODEL, text)
    return len(data) + len(text)


def _with_embedding(model: Any) -> Any:
    """The model with its embedding as a second output, where it has one."""
    import keras

    from ml.training_run import EMBEDDING_LAYER

    outputs = {"probabilities": model.outputs[0]}
    if any(layer.name == EMBEDDING_LAYER for layer in model.layers):
        outputs["embedding"] = model.get_layer(EMBEDDING_LAYER).output
    return keras.Model(model.inputs[0], outputs)


def _packed(graph: Graph, kind: str) -> tuple[list[dict[str, Any]], bytes]:
    """Operations as JSON, each with the buffer it writes to, and their weights in a row."""
    slots = _slots(graph)
    shapes = {op.name: op.shape for op in graph.ops}
    pieces: list[bytes] = []
    told: list[dict[str, Any]] = []
    place = 0
    for op in graph.ops:
        said: dict[str, Any] = {
            "kind": op.kind, "name": op.name, "in": [slots[one] for one in op.reads], "out": slots[op.name],
            "shape": list(op.shape), **op.settings,
        }  # fmt: skip
        said |= {"from": list(shapes[op.reads[0]])} if op.reads else {}
        for name, numbers in (("weights", op.weights), ("bias", op.bias)):
            if numbers is not None:
                said[name] = [place, list(numbers.shape)]
                place += numbers.size
                pieces.append(_bytes(op, numbers, kind))
        told.append(said)
    return told, b"".join(pieces)


def _bytes(op: Op, numbers: Array, kind: str) -> bytes:
    made = numbers.astype(f"<{kind}")
    if not np.isfinite(made).all():
        raise Problems.one(
            f"the weights of {op.name!r} do not fit {kind}", hint="export with --weights float32, or train again"
        )
    return made.tobytes()


def _slots(graph: Graph) -> dict[str, int]:
    """A buffer for each operation's result, used again once nobody reads it any more; outputs keep theirs."""
    last = {source: index for index, op in enumerate(graph.ops) for source in op.reads}
    kept = set(graph.outputs.values())
    free: list[int] = []
    slots: dict[str, int] = {}
    for index, op in enumerate(graph.ops):
        slots[op.name] = free.pop() if free else len(set(slots.values()))
        free += [slots[one] for one in dict.fromkeys(op.reads) if last[one] == index and one not in kept]
    return slots


def loaded(folder: Path) -> Any:
    """The Keras model of the run in ``folder``.  Raises Problems."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from ml.training_run import MODEL as TRAINED

    try:
        return keras.models.load_model(folder / TRAINED, compile=False)
    except (OSError, ValueError) as error:
        line = str(error).splitlines()[0][:200]
        raise Problems.one(
            f"{folder / TRAINED} cannot be read: {line}", hint="train again: python -m ml.train_model"
        ) from None


def nearest(run: Run, folder: Path) -> tuple[Mapping[str, Any], Array] | None:
    """What tells products of few photos from all others: words for the document, and everybody's prototype.

    None where every product is a class.  Raises Problems.
    """
    from ml.training_run import PROTOTYPES

    if not run.few_photos:
        return None
    try:
        with np.load(folder / PROTOTYPES, allow_pickle=False) as kept:
            vectors, products, trained = (kept[name] for name in ("vectors", "products", "trained"))
    except (OSError, ValueError, KeyError) as error:
        raise Problems.one(f"{folder / PROTOTYPES} cannot be read: {error}", hint="train again") from None
    names, known = [str(name) for name in products], [bool(one) for one in trained]
    return {"threshold": run.prototype_threshold, "products": names, "trained": known}, vectors.astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    from ml.data import storage_location
    from ml.training_run import load

    parser = argparse.ArgumentParser(prog="python -m ml.export", description="Export a trained model for browsers.")
    parser.add_argument("run", type=Path, help="folder of a finished training, runs/VERSION")
    parser.add_argument("--weights", choices=sorted(TYPES), default="float32", help="float16 halves the size")
    given = parser.parse_args(arguments)
    try:
        target = export(load(given.run), given.run, given.weights)
    except Problems as problems:
        print(problems, file=sys.stderr)
        return int(problems.exit_code)
    size = sum(path.stat().st_size for path in target.iterdir())
    then = ["python", "-m", "ml.validate_model", str(given.run), *storage_location.remembered(given.run)]
    print(f"{target}: {size:,} bytes. Next: {shlex.join(then)}")
    return 0
