"""A connector of a real Connect worker, by its REST interface."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.support.deployment import until


class Connector:
    """One connector, by its name; `url` is the worker's."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = url

    def request(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer to a request below the connector; OSError where there is none."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{self._url}/connectors/{self.name}{path}", data, method=method)
        asked.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                text, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
        return status, json.loads(text) if text else None

    def states(self) -> list[str]:
        """The state of the connector, then of each task; empty when that is not known."""
        try:
            status, answer = self.request("GET", "/status")
        except OSError:
            return []
        return [answer["connector"]["state"], *(task["state"] for task in answer["tasks"])] if status == 200 else []

    def traces(self) -> list[str]:
        """Why tasks have failed."""
        return [task["trace"] for task in self.request("GET", "/status")[1]["tasks"] if "trace" in task]

    def deploy(self, config: dict[str, Any]) -> None:
        """Make it, or give it another configuration, and wait until its tasks run."""
        self._done("PUT", "/config", config)
        self.await_running()

    def await_running(self) -> None:
        """Wait until it runs with all of its tasks."""
        until(
            lambda: len(states := self.states()) > 1 and set(states) == {"RUNNING"},
            f"{self.name} ran; its states are {self.states()}",
            60,
        )

    def replay(self) -> None:
        """Set all of its offsets to the beginning, and let it run on."""
        self._done("PUT", "/stop")
        until(lambda: self.states() == ["STOPPED"], f"{self.name} was stopped", 60)
        self._done("DELETE", "/offsets")
        self._done("PUT", "/resume")
        self.await_running()

    def delete(self) -> None:
        """Remove it."""
        self._done("DELETE")

    def _done(self, method: str, path: str = "", body: Any = None) -> None:
        """A request that succeeds; 409 means that workers are just sharing out their tasks, and to ask again."""
        answers: list[tuple[int, Any]] = []

        def done() -> bool:
            answers.append(self.request(method, path, body))
            return answers[-1][0] != 409

        until(done, f"{method} {self.name}{path} did not meet a rebalance", 60)
        status, answer = answers[-1]
        assert status < 300, (status, answer)
