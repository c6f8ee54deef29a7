"""Run ``python -m ml.export runs/VERSION``."""

from ml.export.writer import main

if __name__ == "__main__":
    raise SystemExit(main())
