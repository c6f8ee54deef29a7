"""``python -m ml.demo RUN``: a page of this machine on which a trained model recognises photos, for its maker."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ml import command_runner
from ml.evaluation import browser
from ml.export import exported_model, writer


def main(argv: Sequence[str] | None = None, wait_for_stop: Callable[[], object] | None = None) -> int:
    """The command; its exit code.  Serves until ``wait`` comes back or Ctrl-C is pressed."""
    parser = argparse.ArgumentParser(prog="python -m ml.demo", description="Try a trained model in a browser.")
    parser.add_argument("run", type=Path, help="folder of an exported training, runs/VERSION, or of an export")
    parser.add_argument("--port", type=int, default=8421, help="of this machine (default: 8421)")
    args = parser.parse_args(argv)

    def work() -> int:
        folder = args.run / writer.EXPORT_FOLDER if (args.run / writer.EXPORT_FOLDER).is_dir() else args.run
        exported_model.load(folder)
        with browser.serve([browser.WEB_FOLDER, folder], {}, {}, port=args.port) as site:
            print(f"Open {site.address}/demo.html; end with Ctrl-C.", flush=True)
            (wait_for_stop or threading.Event().wait)()
        return 0

    return command_runner.run_command(work, "python -m ml.demo runs/VERSION", "Nothing was changed.")


if __name__ == "__main__":
    raise SystemExit(main())
