"""The REST interface of a Kafka Connect cluster, as far as sinks need it."""

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from headrace.connectors.connect.references import MASK

_BUSY = 409
"""The cluster is assigning tasks, or has not taken in an earlier change yet."""


class ConnectFailed(RuntimeError):
    """Connect is away, or refuses a request; the text says which, why, and what to do."""


class Refused(ConnectFailed):
    """Connect's answer is an error."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class ConnectClient:
    """A client of one cluster.

    Args:
        url: of any of its workers; a user and a password in it are for basic authentication, and are never shown.
        timeout: seconds that one request may take.
        patience: seconds for which a cluster that is busy is asked again.
    """

    def __init__(self, url: str, timeout: float = 60.0, patience: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the address of Connect must be written http://host:port or https://host:port")
        self.url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._timeout, self._patience = timeout, patience
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if parts.username is not None:
            credentials = f"{parts.username}:{parts.password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"

    def plugins(self) -> list[str]:
        """Classes of the connectors that the workers have."""
        return [str(one["class"]) for one in self._send("GET", "/connector-plugins")]

    def secret_settings(self, plugin: str) -> set[str]:
        """Settings of a plug-in whose values are secrets; none if the worker does not have it."""
        try:
            definitions = self._send("GET", f"/connector-plugins/{quote(plugin, safe='')}/config")
        except Refused:
            return set()
        return {str(one["name"]) for one in definitions if one["type"] == "PASSWORD"}

    def configs(self) -> dict[str, dict[str, str]]:
        """The configuration of each connector, without its name."""
        found = self._send("GET", "/connectors?expand=info")
        return {name: _without_name(one["info"]["config"]) for name, one in found.items()}

    def statuses(self) -> dict[str, dict[str, Any]]:
        """State of each connector and of its tasks."""
        return {name: one["status"] for name, one in self._send("GET", "/connectors?expand=status").items()}

    def state(self, name: str) -> str:
        """State of one connector: RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED or RESTARTING."""
        return str(self._send("GET", f"{_place(name)}/status")["connector"]["state"])

    def tasks(self, name: str) -> int:
        """Tasks that a connector has."""
        return len(self._send("GET", f"{_place(name)}/status")["tasks"])

    def validate(self, config: dict[str, str]) -> dict[str, list[str]]:
        """What the plug-in says against a configuration, by setting; what references stand for is masked in it."""
        plugin = quote(config["connector.class"].rpartition(".")[2], safe="")
        answer = self._send("PUT", f"/connector-plugins/{plugin}/config/validate", config)
        found: dict[str, list[str]] = {}
        for value in (one["value"] for one in answer["configs"] if one["value"]["errors"]):
            name, behind = str(value["name"]), value["value"] or ""
            hide = "${" in config.get(name, "") and len(behind) > 1
            found[name] = [text.replace(behind, MASK) if hide else str(text) for text in value["errors"]]
        return found

    def create(self, name: str, config: dict[str, str]) -> None:
        """Make a connector that does not work yet."""
        self._send("POST", "/connectors", {"name": name, "config": config, "initial_state": "STOPPED"})

    def change(self, name: str, config: dict[str, str]) -> None:
        """Give a connector another configuration."""
        self._send("PUT", f"{_place(name)}/config", config)

    def pause(self, name: str) -> None:
        """Let a connector rest; its tasks stay where they are."""
        self._send("PUT", f"{_place(name)}/pause")

    def start(self, name: str) -> None:
        """Let a connector work that is stopped: its tasks are made."""
        self._send("PUT", f"{_place(name)}/resume")

    def resume(self, name: str) -> None:
        """Let a connector work that is paused or stopped.

        A paused one is stopped first, so that it gets new tasks: one that rests hears of it by a wake-up of its
        consumer, which gets lost while that commits or joins its group. It would rest for ever, and say RUNNING.
        """
        if self.statuses().get(name, {}).get("connector", {}).get("state") == "PAUSED":
            self.stop(name)
        self.start(name)

    def restart_failed(self, name: str) -> None:
        """Start a connector and its tasks again, those that have failed."""
        self._send("POST", f"{_place(name)}/restart?includeTasks=true&onlyFailed=true")

    def stop(self, name: str) -> None:
        """End a connector's tasks, and wait until they have ended."""
        self._send("PUT", f"{_place(name)}/stop")
        self._await(lambda: self.state(name) == "STOPPED" and not self.tasks(name), f"{name} has stopped")

    def delete(self, name: str) -> None:
        """Remove a connector; its group's offsets stay."""
        self._send("DELETE", _place(name))

    def forget_offsets(self, name: str) -> None:
        """Delete the offsets of a stopped connector, so that it begins with the oldest record."""
        self._send("DELETE", f"{_place(name)}/offsets")

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._patience
        while not condition():
            if time.monotonic() > deadline:
                raise ConnectFailed(f"Connect at {self.url}: within {self._patience:g} s it did not happen that {what}")
            time.sleep(0.1)

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._request(method, path, body)
            except Refused as error:
                if error.status != _BUSY or "already exists" in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _request(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self._headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise Refused(f"Connect at {self.url}: {method} {path}: {_reason(error)}", error.code) from None
        except (OSError, ValueError) as error:
            why = error.reason if isinstance(error, urllib.error.URLError) else error
            raise ConnectFailed(
                f"no answer from Connect at {self.url} ({why}); is it running there? --connect or HEADRACE_CONNECT_URL "
                "names another; `headrace connect start` starts one on this machine"
            ) from None


def _place(name: str) -> str:
    return f"/connectors/{quote(name, safe='')}"


def _without_name(config: dict[str, str]) -> dict[str, str]:
    return {setting: value for setting, value in config.items() if setting != "name"}


def _reason(error: urllib.error.HTTPError) -> str:
    """What an error answer says; Connect gives it as JSON."""
    text = error.read(10_000).decode(errors="replace")
    try:
        text = str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        text = " ".join(text.split())[:300]
    return f"HTTP {error.code}: {text}" if text else f"HTTP {error.code}"
