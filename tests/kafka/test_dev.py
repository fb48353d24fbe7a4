"""`headrace dev` in a project that `headrace new` has made: a command is answered, and a change takes effect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deployment import until

PROGRAM = [sys.executable, "-m", "headrace.cli.main"]
ORDER = '{"item": "tea", "count": 0}'


@pytest.mark.kafka
def test_a_new_project_runs_and_a_change_takes_effect(tmp_path: Path) -> None:
    subprocess.run([*PROGRAM, "new", "shop"], cwd=tmp_path, timeout=60, check=True)
    folder = tmp_path / "shop"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environment |= {"HEADRACE_TOPOLOGY": "shop:topology", "HEADRACE_PARTITIONS": "2", "HEADRACE_REPLY_PARTITIONS": "1"}

    def reason(root: str) -> str:
        send = [*PROGRAM, "send", "PlaceOrder", root, ORDER, "--timeout", "5", "--json"]
        done = subprocess.run(
            send, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return str(json.loads(done.stdout).get("reason", ""))

    with (tmp_path / "log").open("wb") as log:
        dev = subprocess.Popen(
            [*PROGRAM, "dev", "--web-port", "0"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        until(lambda: "one thing at least" in reason("order-1"), "the first command was answered", 90)
        rules = folder / "shop/order.py"
        rules.write_text(rules.read_text().replace("one thing at least", "something"))
        until(lambda: "for something" in reason("order-2"), "the change took effect", 90)
    except BaseException:
        print((tmp_path / "log").read_text()[-3000:])  # noqa: T201  (pytest shows it when a test fails)
        raise
    finally:
        dev.terminate()
        assert dev.wait(60) == 0
    assert not (folder / ".headrace/kafka/state.json").exists()
    assert "changed: shop/order.py; starting anew" in (tmp_path / "log").read_text()
