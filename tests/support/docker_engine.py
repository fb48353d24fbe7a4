"""The docker command."""

import os
import subprocess
from collections.abc import Mapping


def docker(
    *arguments: str, seconds: float = 60, text: str = "", variables: Mapping[str, str] | None = None, logs: bool = False
) -> str:
    """What `docker …` prints, with `logs` on stderr too; fails with all it has said."""
    done = subprocess.run(
        ["docker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if logs else subprocess.PIPE,
        text=True,
        input=text,
        timeout=seconds,
        env=os.environ | (variables or {}),
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()
