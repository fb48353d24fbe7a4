"""A connector of a real Connect worker, by its REST interface."""

from __future__ import annotations

from typing import Any

from tests.support.deployment import until
from tests.support.http_json import ask


class Connector:
    """One connector, by its name; `worker` is the worker's URL."""

    def __init__(self, worker: str, name: str) -> None:
        self.name = name
        self._url = f"{worker}/connectors/{name}"

    def states(self) -> list[str]:
        """The state of the connector, then of each task; empty when that is not known."""
        try:
            status, answer = ask("GET", f"{self._url}/status")
        except OSError:
            return []
        return [answer["connector"]["state"], *(task["state"] for task in answer["tasks"])] if status == 200 else []

    def trace(self) -> str:
        """Why its tasks have failed; empty if none has."""
        return "\n".join(task.get("trace", "") for task in ask("GET", f"{self._url}/status")[1]["tasks"])

    def deploy(self, config: dict[str, Any]) -> None:
        """Make it, or give it another configuration."""
        self._done("PUT", "/config", config)

    def await_running(self) -> None:
        """Wait until it runs with all of its tasks."""
        until(
            lambda: len(states := self.states()) > 1 and set(states) == {"RUNNING"},
            f"{self.name} ran with its tasks",
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
            answers.append(ask(method, self._url + path, body))
            return answers[-1][0] != 409

        until(done, f"{method} {self.name}{path} did not meet a rebalance", 60)
        status, answer = answers[-1]
        assert status < 300, (status, answer)
