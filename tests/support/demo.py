"""`headrace demo --json` in a process of its own, with nothing of this environment's deployment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import deadlines


def demo(folder: Path, *options: str, path: str | None = None, seconds: float = 300) -> tuple[int, dict[str, Any], str]:
    """Exit code, answer and stderr; what it leaves is in the folder. `path` is a PATH in place of this process's.

    `seconds` are those of a fast machine.
    """
    own = ("HEADRACE_BOOTSTRAP", "HEADRACE_TOPOLOGY", "HEADRACE_PREFIX", "SEARCH_URL", "REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment |= {"HEADRACE_HOME": str(folder / "home"), "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "headrace.cli.main", "demo", "--json", *options],
        env=environment if path is None else environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=deadlines.seconds(seconds),
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr
