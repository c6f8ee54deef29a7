"""``python -m ml.demo RUN``: a page of this machine on which a trained model recognises photos, for its maker."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ml import command_runner
from ml.evaluation import browser
from ml.export import exported_model, writer


def main(arguments: Sequence[str] | None = None, wait: Callable[[], object] | None = None) -> int:
    """The command; its exit code.  Serves until ``wait`` comes back or Ctrl-C is pressed."""
    parser = argparse.ArgumentParser(prog="python -m ml.demo", description="Try a trained model in a browser.")
    parser.add_argument("run", type=Path, help="folder of an exported training, runs/VERSION, or of an export")
    parser.add_argument("--port", type=int, default=8421, help="of this machine (default: 8421)")
    given = parser.parse_args(arguments)

    def work() -> int:
        folder = given.run / writer.FOLDER if (given.run / writer.FOLDER).is_dir() else given.run
        exported_model.load(folder)
        with browser.serving([browser.WEB, folder], {}, {}, port=given.port) as site:
            print(f"Open {site.address}/demo.html; end with Ctrl-C.", flush=True)
            (wait or threading.Event().wait)()
        return 0

    return command_runner.ended(work, "python -m ml.demo runs/VERSION", "Nothing was changed.")


if __name__ == "__main__":
    raise SystemExit(main())
