"""Export a trained model for browsers as ``model.json`` and a weights file: ``python -m ml.export runs/VERSION``.

Why a custom format: the runtimes for ONNX, LiteRT or TensorFlow.js are 2 to 14 MB, while this model needs only a dozen
kinds of operations, which ``ml/web/predict.js`` implements without dependencies.  See docs/benchmarks.md for numbers.

Weights are int8 if the answers stay the same, else mixed, float16 or float32.  In an int8 export matrices and
convolutions are bytes with one scale for each output channel, prototypes are float16, and all else is float32.  In a
mixed one only the large ones of the last blocks are bytes, all else is float16: rounding in the first blocks, which are
small, changes answers most.  A tensor of
``model.json`` is ``{at: byte, shape, type: f4 | f2 | i1, scales: byte}``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import answers
from ml.atomic_files import write_atomic
from ml.export import exported_model
from ml.export.exported_model import FORMAT, MODEL_FILE
from ml.export.op_graph import Array, Graph, Op, build_graph
from ml.tensorflow_import import import_keras
from orchestrator import canonical_json
from orchestrator.problems import Problems

if TYPE_CHECKING:
    from ml.training_run import TrainingRun

MAX_DIFFERENCES: Mapping[str, float] = {"f4": 1e-3, "f2": 2e-2, "i1": 0.12}
"""Maximum difference between percentages of Keras and the export, as a share of 1, by data type of the weights."""
CHOICE_MARGIN = 0.7
"""Share of the maximum difference that smaller weights may use up, because validation looks at other photos too."""
MIN_AGREEMENT = 0.9
"""Smallest share of photos whose first product smaller weights may not change."""
EXPORT_FOLDER = "web"
"""Subfolder of a run's folder for the export."""
WEIGHT_DTYPES = {"float32": "f4", "float16": "f2", "mixed": "i1", "int8": "i1"}
DEFAULT_WEIGHTS_TYPE = "int8"
QUANTISATIONS = {"int8": (1024, "f4"), "mixed": (100_000, "f2")}
"""Number of values from which tensors are bytes, and the type of all others."""


def export(run: TrainingRun, run_folder: Path, weights_type: str = DEFAULT_WEIGHTS_TYPE) -> Path:
    """Export the model of the run in ``run_folder``; return the folder of the export.

    Raises Problems if a browser cannot run the model, or it does not match its contract.
    """
    target = run_folder / EXPORT_FOLDER
    write(load_keras_model(run_folder), run, load_prototypes(run, run_folder), target, weights_type=weights_type)
    return target


def write(
    model: Any, run: TrainingRun, prototypes: Array, target: Path, *, weights_type: str = DEFAULT_WEIGHTS_TYPE
) -> int:
    """Write a Keras model and the run's contract to ``target``; return the number of bytes a browser has to load.

    Raises Problems if a browser cannot run the model, or it does not match its contract.
    """
    graph = _build_checked_graph(model, run, prototypes)
    dtype = WEIGHT_DTYPES[weights_type]
    pack = _Pack(*QUANTISATIONS.get(weights_type, (None, dtype)))
    ops = _pack_ops(graph, pack)
    answer = {
        "prototypes": pack.add("prototypes", prototypes, "f4" if dtype == "f4" else "f2"),
        "owners": list(run.answer.owners),
        "scale": run.answer.scale,
        "none": run.answer.none,
        "groups": [list(group) for group in run.answer.groups],
    }
    data = b"".join(pack.chunks)
    checksum = hashlib.sha256(data).hexdigest()
    weights_file = f"weights-{checksum[:12]}.bin"
    document = {
        "format": FORMAT, "version": run.version, "ops": ops, "outputs": dict(graph.outputs), "answer": answer,
        "preprocessing": json.loads(canonical_json.dump(run.preprocessing)),
        "preprocessing_hash": run.preprocessing.hash,
        "weights": {"file": weights_file, "type": dtype, "sha256": checksum, "bytes": len(data)},
    }  # fmt: skip
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    for stale_file in target.glob("weights-*.bin"):
        stale_file.unlink()
    write_atomic(target / weights_file, data)
    write_atomic(target / MODEL_FILE, text)
    return len(data) + len(text)


def write_smallest(model: Any, run: TrainingRun, prototypes: Array, target: Path, inputs: Array) -> int:
    """Write the export with the smallest weights whose answers to ``inputs`` stay those of the Keras model.

    Return the number of bytes a browser has to load.
    """
    rule = run.answer
    embeddings = np.asarray(model(inputs, training=False), dtype=np.float32)
    similarities = answers.product_similarities(embeddings, prototypes, rule.owners, len(run.classes))
    expected = answers.probabilities(similarities, rule.scale, rule.none)
    size = 0
    for weights_type in ("int8", "mixed", "float16", "float32"):
        try:
            size = write(model, run, prototypes, target, weights_type=weights_type)
        except Problems:
            if weights_type == "float32":
                raise
            continue  # a weight overflows float16
        shown = exported_model.load(target).answer(inputs)
        agreement = (shown[:, :-1].argmax(axis=1) == expected[:, :-1].argmax(axis=1)).mean()
        difference = float(np.abs(shown - expected).max())
        max_difference = CHOICE_MARGIN * MAX_DIFFERENCES[WEIGHT_DTYPES[weights_type]]
        if difference <= max_difference and agreement >= MIN_AGREEMENT:
            break
    return size


def _build_checked_graph(model: Any, run: TrainingRun, prototypes: Array) -> Graph:
    import keras

    graph = build_graph(keras.Model(model.inputs[0], {"embedding": model.outputs[0]}))
    contract, input_shape = run.preprocessing, graph.ops[0].shape
    (output_shape,) = [op.shape for op in graph.ops if op.name == graph.outputs["embedding"]]
    expected = ((contract.size, contract.size, 3), (prototypes.shape[1],))
    if (input_shape, output_shape) != expected or len(prototypes) != len(run.answer.owners):
        raise Problems.from_message(
            f"the model does not match run.json: it has input {input_shape} and output {output_shape}, but run.json "
            f"has {contract.size} pixels, and {len(prototypes)} prototypes of {prototypes.shape[1]} numbers",
            hint="train again: python -m ml.train_model",
        )
    return graph


@dataclass(slots=True)
class _Pack:
    """The weights file while it is written; every tensor starts at a multiple of four bytes."""

    min_quantised_size: int | None
    other_dtype: str
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, tensor: Array, dtype: str) -> dict[str, Any]:
        """Append a tensor and return its reference.  Raises Problems if it overflows ``dtype``."""
        scales: dict[str, int] = {}
        if dtype == "i1":
            steps = np.abs(tensor).reshape(-1, tensor.shape[-1]).max(axis=0) / 127
            steps = np.where(steps > 0, steps, 1.0)
            scales["scales"] = self._append(steps.astype("<f4").tobytes())
            encoded = np.rint(tensor / steps).astype("i1")
        else:
            encoded = tensor.astype(f"<{dtype}")
        if not np.isfinite(encoded).all():
            raise Problems.from_message(
                f"the weights of {name!r} overflow {dtype}", hint="export with --weights float32, or train again"
            )
        return {"at": self._append(encoded.tobytes()), "shape": list(tensor.shape), "type": dtype, **scales}

    def type_of(self, op: Op, tensor: Array) -> str:
        """Return the type that a tensor of an operation is stored with."""
        is_matrix = op.kind in {"conv", "dense"} and tensor.ndim > 1
        if self.min_quantised_size and is_matrix and tensor.size >= self.min_quantised_size:
            return "i1"
        return self.other_dtype

    def _append(self, data: bytes) -> int:
        position, padded = self.size, data + b"\0" * (-len(data) % 4)
        self.chunks.append(padded)
        self.size += len(padded)
        return position


def _pack_ops(graph: Graph, pack: _Pack) -> list[dict[str, Any]]:
    """Return the operations as JSON, each with its buffers, and add their weights to ``pack``."""
    slots = _assign_slots(graph)
    shapes = {op.name: op.shape for op in graph.ops}
    op_documents: list[dict[str, Any]] = []
    for op in graph.ops:
        op_document: dict[str, Any] = {
            "kind": op.kind, "name": op.name, "in": [slots[source] for source in op.inputs], "out": slots[op.name],
            "shape": list(op.shape), **op.attributes,
        }  # fmt: skip
        op_document |= {"from": list(shapes[op.inputs[0]])} if op.inputs else {}
        for name, tensor in (("weights", op.weights), ("bias", op.bias)):
            if tensor is not None:
                op_document[name] = pack.add(op.name, tensor, pack.type_of(op, tensor))
        op_documents.append(op_document)
    return op_documents


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
    keras = import_keras()

    from ml.training_run import MODEL_FILE as TRAINED

    try:
        return keras.models.load_model(run_folder / TRAINED, compile=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise Problems.from_message(
            f"cannot read {run_folder / TRAINED}: {reason}", hint="train again: python -m ml.train_model"
        ) from None


def load_prototypes(run: TrainingRun, run_folder: Path) -> Array:
    """Load the prototypes of all products: (prototypes, embedding_size), in the order of ``run.answer.owners``.

    Raises Problems if the file cannot be read.
    """
    from ml.training_run import PROTOTYPES_FILE

    try:
        with np.load(run_folder / PROTOTYPES_FILE, allow_pickle=False) as archive:
            vectors = np.asarray(archive["vectors"], dtype=np.float32)
            owners = archive["owners"].tolist()
    except (OSError, ValueError, KeyError) as error:
        raise Problems.from_message(
            f"cannot read {run_folder / PROTOTYPES_FILE}: {error}", hint="train again: python -m ml.train_model"
        ) from None
    if owners != list(run.answer.owners):
        raise Problems.from_message(
            f"{run_folder / PROTOTYPES_FILE} does not match run.json", hint="train again: python -m ml.train_model"
        )
    return vectors


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    from ml.data import storage_location
    from ml.training_run import load

    parser = argparse.ArgumentParser(prog="python -m ml.export", description="Export a trained model for browsers.")
    parser.add_argument("run", type=Path, help="folder of a training run, runs/VERSION")
    parser.add_argument(
        "--weights",
        choices=sorted(WEIGHT_DTYPES),
        default=DEFAULT_WEIGHTS_TYPE,
        help="data type of the weights; size compared with float32: int8 a quarter, mixed a third (default: "
        "%(default)s)",
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
