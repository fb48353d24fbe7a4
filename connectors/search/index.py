"""The index of a search server: made before its sink begins, so that the server never guesses how fields are."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

from headrace.connectors.connect.references import Unresolved, resolved
from headrace.connectors.connect.rendering import Index

_CONFLICT = 409
"""The server has this version of the document, or a newer one."""


class SearchFailed(RuntimeError):
    """The search server is away, or refuses a request; the text says which, why, and what to do."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status
        """Of the answer; 0 if there was none."""


class IndexAdmin:
    """An index on its server. Raises SearchFailed if a reference that is needed has no value on this machine."""

    def __init__(self, index: Index, timeout: float = 30.0) -> None:
        self.index = index
        self._timeout = timeout
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            self._url = resolved(index.url).split(",")[0].rstrip("/")
            if index.api_key:
                self._headers["Authorization"] = f"ApiKey {resolved(index.api_key)}"
            elif index.user:
                pair = f"{resolved(index.user)}:{resolved(index.password)}".encode()
                self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        except Unresolved as error:
            raise SearchFailed(
                f"index {index.name}: {error}; it must be set here as well as for Connect's worker, because this "
                "command makes the index"
            ) from None
        if not self._url.startswith(("http://", "https://")):
            raise SearchFailed(
                f"index {index.name}: the server's address, {index.url}, must begin with http:// or https://"
            )

    def settings(self) -> dict[str, str] | None:
        """The settings that differ from the server's own; None if there is no such index."""
        found = self._send("GET", "/_settings?flat_settings=true", missing_ok=True)
        if found is None:
            return None
        (one,) = found.values()
        return {str(name): str(value) for name, value in one["settings"].items()}

    def create(self) -> bool:
        """Make the index; False if it was there."""
        if self.settings() is not None:
            return False
        self._send("PUT", "", self.index.body)
        return True

    def change(self, settings: dict[str, Any]) -> None:
        """Change settings of the index that may be changed while it is in use."""
        self._send("PUT", "/_settings", {"index": settings})

    def take_alias(self, alias: str) -> None:
        """Let this index, and no other one, have an alias, in one step."""
        remove = {"remove": {"index": "*", "alias": alias, "must_exist": False}}
        actions = [remove, {"add": {"index": self.index.name, "alias": alias}}]
        self._send("POST", "/_aliases", {"actions": actions}, of_index=False)

    def write(self, document_id: str, version: int, document: bytes | None) -> None:
        """Write a document under a version, None deletes it; one that is there under this version or a newer stays."""
        if self.settings() is None:  # else the server would make one, and guess how its fields are
            raise SearchFailed(f"there is no index {self.index.name}; `headrace connect reset` makes and fills it", 404)
        path = f"/_doc/{quote(document_id, safe='')}?version_type=external&version={version}"
        try:
            self._send("DELETE" if document is None else "PUT", path, document, missing_ok=document is None)
        except SearchFailed as error:
            if error.status != _CONFLICT:
                raise

    def drop(self) -> bool:
        """Remove the index with all that is in it; False if it was not there."""
        return self._send("DELETE", "", missing_ok=True) is not None

    def _send(
        self, method: str, path: str, body: Any = None, *, missing_ok: bool = False, of_index: bool = True
    ) -> Any:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self._url}/{quote(self.index.name, safe='')}{path}" if of_index else f"{self._url}{path}"
        try:
            request = urllib.request.Request(url, data, self._headers, method=method)
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if missing_ok and error.code == 404:
                return None
            raise SearchFailed(
                f"index {self.index.name}: the search server at {self.index.url} refuses {method}: HTTP {error.code} "
                f"{_reason(error)}",
                error.code,
            ) from None
        except (OSError, ValueError) as error:
            why = error.reason if isinstance(error, urllib.error.URLError) else type(error).__name__
            raise SearchFailed(
                f"index {self.index.name}: no answer from the search server at {self.index.url} ({why}); is it running "
                "there?"
            ) from None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        cause = json.loads(error.read(100_000))["error"]
        return str(cause["reason"]) if isinstance(cause, dict) else str(cause)
    except (ValueError, TypeError, KeyError):
        return ""
