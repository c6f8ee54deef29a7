"""Run ``python -m ml.export runs/VERSION``."""

from ml.export.export import main

if __name__ == "__main__":
    raise SystemExit(main())
