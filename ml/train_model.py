"""``python -m ml.train_model``: from the data set's folder to a finished run in ``runs/<version>/``.

Stages: look at the photos, features (kept), head, fine-tuning of the top blocks, measure, report, export.  Interrupted
anywhere, the same command goes on from the last thing that was finished.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ml import command_runner
from ml.data import dataset
from ml.data.split import split
from ml.training import cleanup, hardware, run_writer, trainer
from ml.training.trainer import Settings, Training
from orchestrator.problems import Problems


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m ml.train_model",
        description="Train a model that tells the shop's products apart, out of the data set's photos.",
        epilog="Interrupted, the same command goes on where it was. Trained again, only new photos are computed.",
    )
    usual = Settings()
    made.add_argument("--data", type=Path, default=Path("data"), help="folder of the data set (default: data)")
    made.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the trainings (default: runs)")
    made.add_argument("--weights", default=usual.weights, metavar="imagenet|PATH|none",
                      help="what MobileNetV2 begins with (default: imagenet, fetched once)")  # fmt: skip
    made.add_argument("--size", type=int, default=usual.size, choices=(96, 128, 160, 192, 224),
                      help="pixels of the square that the model sees (default: 224)")  # fmt: skip
    made.add_argument("--fewest", type=_from_one, default=usual.fewest, metavar="N",
                      help="photos that make a product a class; others are known by a prototype")  # fmt: skip
    made.add_argument("--views", type=_from_one, default=usual.views, metavar="N",
                      help="pictures made of each photo: itself and variations of it")  # fmt: skip
    made.add_argument("--epochs", type=_from_one, default=usual.epochs, metavar="N", help="most epochs of the head")
    made.add_argument("--fine-tune", type=_from_zero, default=usual.fine_tune, metavar="N",
                      help="most epochs of the top blocks; 0 leaves them as they are")  # fmt: skip
    made.add_argument("--batch", type=_from_one, default=usual.batch, metavar="N", help="less needs less memory")
    made.add_argument("--seed", type=int, default=usual.seed, metavar="N", help="of the split, the variations, the net")
    made.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="where to compute")
    made.add_argument("--mixed-precision", action=argparse.BooleanOptionalAction, default=None,
                      help="float16 where it is safe (default: on a GPU)")  # fmt: skip
    return made


def settings(given: argparse.Namespace) -> Settings:
    """What the command line says of the training itself."""
    return Settings(
        given.weights, given.size, given.fewest, given.views, given.epochs, given.fine_tune, given.batch, given.seed
    )


def train(given: argparse.Namespace) -> run_writer.Result:
    """Train as the command line says.

    Raises Problems, OSError.
    """
    data = dataset.load(given.data)
    sides = split(data, given.fewest, given.seed)
    trainer.look(data, given.data)
    hardware.enough_memory()
    machine = hardware.found(given.device, given.mixed_precision)
    one = Training(settings(given), data, sides, given.data, given.runs, machine)
    print(one.begins, flush=True)
    done = run_writer.leave(one, one.run())
    shutil.rmtree(one.kept, ignore_errors=True)
    if freed := cleanup.prune(given.runs):
        print(f"Removed {freed / 1e6:.0f} MB that no training has used for {cleanup.DAYS} days.")
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = parser().parse_args(words)
    again = shlex.join(["python", "-m", "ml.train_model", *words])

    def work() -> int:
        try:
            done = train(given)
        except Exception as error:
            if hardware.is_out_of_memory(error):
                raise Problems.one(
                    "Memory ran out. What was finished before is kept.",
                    hint=f"close other programs, or halve the batch: {again} --batch {max(given.batch // 2, 1)}",
                ) from None
            raise
        print(run_writer.told(done))
        return 0

    return command_runner.ended(work, again, "What was finished is kept; the same command goes on from there.")


def _from_zero(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("has to be 0 or more")
    return number


def _from_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be above 0")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
