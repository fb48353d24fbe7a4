"""`headrace worker` of the topology that HEADRACE_TOPOLOGY names, for `Worker` to start."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from headrace.cli.main import app

if __name__ == "__main__":
    sys.argv = ["headrace", "worker"]
    app()
