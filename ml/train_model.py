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
from ml.data.split import split_dataset
from ml.training import cleanup, hardware, run_writer, trainer
from ml.training.trainer import Settings, Trainer
from orchestrator.problems import Problems


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.train_model",
        description="Train a model that tells the shop's products apart, out of the data set's photos.",
        epilog="Interrupted, the same command goes on where it was. Trained again, only new photos are computed.",
    )
    defaults = Settings()
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data set (default: data)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the trainings (default: runs)")
    parser.add_argument("--weights", default=defaults.weights, metavar="imagenet|PATH|none",
                      help="what MobileNetV2 begins with (default: imagenet, fetched once)")  # fmt: skip
    parser.add_argument("--size", type=int, default=defaults.size, choices=(96, 128, 160, 192, 224),
                      help="pixels of the square that the model sees (default: 224)")  # fmt: skip
    parser.add_argument("--fewest", type=_positive_int, default=defaults.fewest, metavar="N",
                      help="photos that make a product a class; others are known by a prototype")  # fmt: skip
    parser.add_argument("--views", type=_positive_int, default=defaults.views, metavar="N",
                      help="pictures made of each photo: itself and variations of it")  # fmt: skip
    parser.add_argument(
        "--epochs", type=_positive_int, default=defaults.epochs, metavar="N", help="most epochs of the head"
    )
    parser.add_argument("--fine-tune", type=_non_negative_int, default=defaults.fine_tune, metavar="N",
                      help="most epochs of the top blocks; 0 leaves them as they are")  # fmt: skip
    parser.add_argument(
        "--batch", type=_positive_int, default=defaults.batch, metavar="N", help="less needs less memory"
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, metavar="N", help="of the split, the variations, the net"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="where to compute")
    parser.add_argument("--mixed-precision", action=argparse.BooleanOptionalAction, default=None,
                      help="float16 where it is safe (default: on a GPU)")  # fmt: skip
    return parser


def settings_from_args(args: argparse.Namespace) -> Settings:
    """What the command line says of the training itself."""
    return Settings(
        args.weights, args.size, args.fewest, args.views, args.epochs, args.fine_tune, args.batch, args.seed
    )


def train(args: argparse.Namespace) -> run_writer.FinishedRun:
    """Train as the command line says.

    Raises Problems, OSError.
    """
    data = dataset.load(args.data)
    splits = split_dataset(data, args.fewest, args.seed)
    trainer.verify_photos(data, args.data)
    hardware.require_memory()
    detected_hardware = hardware.detect(args.device, args.mixed_precision)
    one = Trainer(settings_from_args(args), data, splits, args.data, args.runs, detected_hardware)
    print(one.start_message, flush=True)
    result = run_writer.write_run(one, one.run())
    shutil.rmtree(one.checkpoint_folder, ignore_errors=True)
    if freed_bytes := cleanup.prune(args.runs):
        print(f"Removed {freed_bytes / 1e6:.0f} MB that no training has used for {cleanup.MAX_UNUSED_DAYS} days.")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cli_args = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(cli_args)
    retry_command = shlex.join(["python", "-m", "ml.train_model", *cli_args])

    def work() -> int:
        try:
            result = train(args)
        except Exception as error:
            if hardware.is_out_of_memory(error):
                raise Problems.from_message(
                    "Memory ran out. What was finished before is kept.",
                    hint=f"close other programs, or halve the batch: {retry_command} --batch {max(args.batch // 2, 1)}",
                ) from None
            raise
        print(run_writer.render_summary(result))
        return 0

    return command_runner.run_command(
        work, retry_command, "What was finished is kept; the same command goes on from there."
    )


def _non_negative_int(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("has to be 0 or more")
    return number


def _positive_int(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be above 0")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
