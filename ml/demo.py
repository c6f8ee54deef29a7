"""Serve a local web page to try a trained model on photos: ``python -m ml.demo RUN``."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ml import command_runner
from ml.evaluation import browser
from ml.export import exported_model, writer


def main(argv: Sequence[str] | None = None, wait_for_stop: Callable[[], object] | None = None) -> int:
    """Run the command and return its exit code; serve until ``wait_for_stop`` returns or Ctrl-C is pressed."""
    parser = argparse.ArgumentParser(prog="python -m ml.demo", description="Serve a web page to try a trained model.")
    parser.add_argument("run", type=Path, help="folder of a training run (runs/VERSION) or of an export")
    parser.add_argument("--port", type=int, default=8421, help="local port (default: 8421)")
    args = parser.parse_args(argv)

    def work() -> int:
        folder = args.run / writer.EXPORT_FOLDER if (args.run / writer.EXPORT_FOLDER).is_dir() else args.run
        exported_model.load(folder)
        with browser.serve([browser.WEB_FOLDER, folder], {}, {}, port=args.port) as site:
            print(f"Open {site.address}/demo.html. Press Ctrl-C to stop.", flush=True)
            (wait_for_stop or threading.Event().wait)()
        return 0

    return command_runner.run_command(work, "python -m ml.demo runs/VERSION", "Nothing was changed.")


if __name__ == "__main__":
    raise SystemExit(main())
