"""Train a model on the dataset and write a run to ``runs/VERSION/``: ``python -m ml.train_model``.

Stages: verify photos, compute features (cached), cross-validate, train on all photos, report, export.
After an interruption the same command resumes from the last checkpoint.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ml import command_runner
from ml.data import dataset
from ml.data.split import split_dataset
from ml.training import cleanup, encoders, hardware, run_writer, stages
from ml.training.stages import Settings, Trainer
from orchestrator.problems import Problems


def build_parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.train_model",
        description="Train a product recognition model on the photos of the dataset.",
        epilog="After an interruption, run the same command to resume. Features of known photos are reused.",
    )
    defaults = Settings()
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the dataset (default: data)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the training runs (default: runs)")
    parser.add_argument("--encoder", default=defaults.encoder, metavar=f"{'|'.join(encoders.NAMES)}|PATH",
                      help="network to start from; an encoder file includes its weights "
                      "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--weights", default=defaults.weights, metavar="imagenet|PATH|none",
                      help="initial weights of the encoder (default: imagenet, downloaded once)")  # fmt: skip
    parser.add_argument("--size", type=int, default=defaults.size, choices=(96, 128, 160, 192, 224),
                      help="input size in pixels (default: 224)")  # fmt: skip
    parser.add_argument("--views", type=_non_negative_int, default=defaults.views, metavar="N",
                      help="simulated phone photos per photo (default: depends on the number of photos)")  # fmt: skip
    parser.add_argument("--epochs", type=_positive_int, default=defaults.epochs, metavar="N",
                      help="number of epochs (default: %(default)s)")  # fmt: skip
    parser.add_argument("--batch", type=_positive_int, default=defaults.batch, metavar="N",
                      help="batch size; a smaller batch needs less memory (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=defaults.seed, metavar="N",
                      help="random seed for the split, augmentation and weights (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--device", choices=("auto", "cpu", "gpu"), default="auto", help="device to train on (default: auto)"
    )
    parser.add_argument("--mixed-precision", action=argparse.BooleanOptionalAction, default=None,
                      help="use mixed float16 precision (default: on a GPU)")  # fmt: skip
    return parser


def settings_from_args(args: argparse.Namespace) -> Settings:
    """Return the training settings from the command line."""
    return Settings(args.weights, args.size, args.views, args.epochs, args.batch, args.seed, args.encoder)


def train(args: argparse.Namespace) -> str:
    """Train with the settings of the command line, unless that was done before; return a summary.

    Raises Problems, OSError.
    """
    data = dataset.load(args.data)
    folds = split_dataset(data, args.seed)
    stages.verify_photos(data, args.data)
    hardware.require_memory()
    detected_hardware = hardware.detect(args.device, args.mixed_precision)
    training = Trainer(settings_from_args(args), data, folds, args.data, args.runs, detected_hardware)
    if folder := run_writer.find_run(args.runs, training.fingerprint):
        next_command = shlex.join(run_writer.build_next_command(training, folder))
        return (
            f"{folder} was trained from the same photos with the same settings; training again would give the same "
            f"model. For a different model, change the photos or pass --seed.\nNext: {next_command}"
        )
    print(training.start_message, flush=True)
    result = run_writer.write_run(training, training.run())
    shutil.rmtree(training.checkpoint_folder, ignore_errors=True)
    if freed_bytes := cleanup.prune(args.runs):
        print(f"Removed {freed_bytes / 1e6:.0f} MB of cached data unused for {cleanup.MAX_UNUSED_DAYS} days.")
    return run_writer.render_summary(result)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli_args = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(cli_args)
    retry_command = shlex.join(["python", "-m", "ml.train_model", *cli_args])

    def work() -> int:
        try:
            summary = train(args)
        except Exception as error:
            if hardware.is_out_of_memory(error):
                raise Problems.from_message(
                    "out of memory; completed work is kept",
                    hint=f"close other programs, or halve the batch size: {retry_command} --batch "
                    f"{max(args.batch // 2, 1)}",
                ) from None
            raise
        print(summary)
        return 0

    return command_runner.run_command(work, retry_command, "Completed work is kept.")


def _non_negative_int(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _positive_int(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
