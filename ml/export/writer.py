"""Export a trained model for browsers as ``model.json`` and a weights file: ``python -m ml.export runs/VERSION``.

Why a custom format: the runtimes for ONNX, LiteRT or TensorFlow.js are 2 to 14 MB, while this model needs only a dozen
kinds of operations, which ``ml/web/predict.js`` implements without dependencies.  See docs/benchmarks.md for numbers.
Weights are float32, or float16 for half the size if parity allows it (``ml.evaluation.parity``).
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

from ml.atomic_files import write_atomic
from ml.export.exported_model import FORMAT, MODEL_FILE
from ml.export.op_graph import Array, Graph, Op, build_graph
from orchestrator import canonical_json
from orchestrator.problems import Problems

if TYPE_CHECKING:
    from ml.training_run import Preprocessing, TrainingRun

EXPORT_FOLDER = "web"
"""Subfolder of a run's folder for the export."""
WEIGHT_DTYPES = {"float32": "f4", "float16": "f2"}


def export(run: TrainingRun, run_folder: Path, weights_type: str = "float32") -> Path:
    """Export the model of the run in ``run_folder``; return the folder of the export.

    Raises Problems if a browser cannot run the model, or it does not match its contract.
    """
    target = run_folder / EXPORT_FOLDER
    model = load_keras_model(run_folder)
    write(
        model,
        run.preprocessing,
        target,
        version=run.version,
        weights_type=weights_type,
        prototypes=load_prototypes(run, run_folder),
    )
    return target


def write(
    model: Any,
    contract: Preprocessing,
    target: Path,
    *,
    version: str = "",
    weights_type: str = "float32",
    prototypes: tuple[Mapping[str, Any], Array] | None = None,
) -> int:
    """Write a Keras model and its contract to ``target``; return the number of bytes a browser has to load.

    Raises Problems if a browser cannot run the model, or it does not match its contract.
    """
    graph = build_graph(_add_embedding_output(model))
    input_shape = graph.ops[0].shape
    output_shape = next(op.shape for op in graph.ops if op.name == graph.outputs["probabilities"])
    if input_shape != (contract.size, contract.size, 3) or output_shape != (len(contract.classes),):
        raise Problems.from_message(
            f"the model has input {input_shape} and output {output_shape}, but run.json says {contract.size} pixels "
            f"and {len(contract.classes)} classes: it belongs to another model",
            hint="train again: python -m ml.train_model",
        )
    ops, data = _pack(graph, WEIGHT_DTYPES[weights_type])
    nearest_section: dict[str, Any] = {}
    if prototypes is not None:
        offset = len(data) // np.dtype(WEIGHT_DTYPES[weights_type]).itemsize
        nearest_section = {"nearest": {**prototypes[0], "vectors": [offset, list(prototypes[1].shape)]}}
        data += prototypes[1].astype(f"<{WEIGHT_DTYPES[weights_type]}").tobytes()
    checksum = hashlib.sha256(data).hexdigest()
    weights_file = f"weights-{checksum[:12]}.bin"
    document = {
        "format": FORMAT, "version": version, "ops": ops, "outputs": dict(graph.outputs),
        "preprocessing": json.loads(canonical_json.dump(contract)), "preprocessing_hash": contract.hash,
        "weights": {"file": weights_file, "type": WEIGHT_DTYPES[weights_type], "sha256": checksum, "bytes": len(data)},
        **nearest_section,
    }  # fmt: skip
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    for stale_file in target.glob("weights-*.bin"):
        stale_file.unlink()
    write_atomic(target / weights_file, data)
    write_atomic(target / MODEL_FILE, text)
    return len(data) + len(text)


def _add_embedding_output(model: Any) -> Any:
    """Return the model with its embedding, if any, as a second output."""
    import keras

    from ml.training_run import EMBEDDING_LAYER

    outputs = {"probabilities": model.outputs[0]}
    if any(layer.name == EMBEDDING_LAYER for layer in model.layers):
        outputs["embedding"] = model.get_layer(EMBEDDING_LAYER).output
    return keras.Model(model.inputs[0], outputs)


def _pack(graph: Graph, dtype: str) -> tuple[list[dict[str, Any]], bytes]:
    """Return the operations as JSON, each with its buffers, and all weights in one byte string."""
    slots = _assign_slots(graph)
    shapes = {op.name: op.shape for op in graph.ops}
    chunks: list[bytes] = []
    op_documents: list[dict[str, Any]] = []
    offset = 0
    for op in graph.ops:
        op_document: dict[str, Any] = {
            "kind": op.kind, "name": op.name, "in": [slots[source] for source in op.inputs], "out": slots[op.name],
            "shape": list(op.shape), **op.attributes,
        }  # fmt: skip
        op_document |= {"from": list(shapes[op.inputs[0]])} if op.inputs else {}
        for name, tensor in (("weights", op.weights), ("bias", op.bias)):
            if tensor is not None:
                op_document[name] = [offset, list(tensor.shape)]
                offset += tensor.size
                chunks.append(_encode_tensor(op, tensor, dtype))
        op_documents.append(op_document)
    return op_documents, b"".join(chunks)


def _encode_tensor(op: Op, tensor: Array, dtype: str) -> bytes:
    encoded = tensor.astype(f"<{dtype}")
    if not np.isfinite(encoded).all():
        raise Problems.from_message(
            f"the weights of {op.name!r} overflow {dtype}", hint="export with --weights float32, or train again"
        )
    return encoded.tobytes()


def _assign_slots(graph: Graph) -> dict[str, int]:
    """Assign a buffer to each operation's result; reuse buffers after their last read, except those of outputs."""
    last_use = {source: index for index, op in enumerate(graph.ops) for source in op.inputs}
    output_names = set(graph.outputs.values())
    free_slots: list[int] = []
    slots: dict[str, int] = {}
    for index, op in enumerate(graph.ops):
        slots[op.name] = free_slots.pop() if free_slots else len(set(slots.values()))
        free_slots += [
            slots[input_name]
            for input_name in dict.fromkeys(op.inputs)
            if last_use[input_name] == index and input_name not in output_names
        ]
    return slots


def load_keras_model(run_folder: Path) -> Any:
    """Load the Keras model of the run in ``run_folder``.  Raises Problems if it cannot be read."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from ml.training_run import MODEL_FILE as TRAINED

    try:
        return keras.models.load_model(run_folder / TRAINED, compile=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise Problems.from_message(
            f"cannot read {run_folder / TRAINED}: {reason}", hint="train again: python -m ml.train_model"
        ) from None


def load_prototypes(run: TrainingRun, run_folder: Path) -> tuple[Mapping[str, Any], Array] | None:
    """Load the prototypes of all products: the fields for ``model.json``, and the vectors.

    Return None if every product is a class.  Raises Problems if the file cannot be read.
    """
    from ml.training_run import PROTOTYPES_FILE

    if not run.few_photos:
        return None
    try:
        with np.load(run_folder / PROTOTYPES_FILE, allow_pickle=False) as archive:
            vectors, products, trained = (archive[name] for name in ("vectors", "products", "trained"))
    except (OSError, ValueError, KeyError) as error:
        raise Problems.from_message(
            f"cannot read {run_folder / PROTOTYPES_FILE}: {error}", hint="train again: python -m ml.train_model"
        ) from None
    names, trained_flags = [str(name) for name in products], [bool(flag) for flag in trained]
    return {"threshold": run.prototype_threshold, "products": names, "trained": trained_flags}, vectors.astype(
        np.float32
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    from ml.data import storage_location
    from ml.training_run import load

    parser = argparse.ArgumentParser(prog="python -m ml.export", description="Export a trained model for browsers.")
    parser.add_argument("run", type=Path, help="folder of a training run, runs/VERSION")
    parser.add_argument(
        "--weights",
        choices=sorted(WEIGHT_DTYPES),
        default="float32",
        help="data type of the weights; float16 halves the size (default: float32)",
    )
    args = parser.parse_args(argv)
    try:
        target = export(load(args.run), args.run, args.weights)
    except Problems as problems:
        print(problems, file=sys.stderr)
        return int(problems.exit_code)
    size = sum(path.stat().st_size for path in target.iterdir())
    next_command = ["python", "-m", "ml.validate_model", str(args.run), *storage_location.load_arguments(args.run)]
    print(f"Exported {target} ({size:,} bytes). Next: {shlex.join(next_command)}")
    return 0
