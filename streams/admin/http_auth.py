"""Access to a worker's data over HTTP: for whoever has the token; if none is set, for users of its machine."""

import hmac
import ipaddress
from typing import Any
from urllib.parse import urlsplit

from headrace.streams.settings import Settings


class Refused(Exception):
    """A request that is not served: `status` is the HTTP status, `more` is added to the answer with the reason."""

    def __init__(self, status: int, reason: str, **more: Any) -> None:
        super().__init__(reason)
        self.status, self.more = status, more


class HttpAuth:
    """The access rule of one web server."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.web_token.get_secret_value().strip().encode(errors="surrogateescape")
        self._local = _is_local(settings.web_host)

    def check(self, request: Any) -> None:
        """Raise Refused with 401 or 403 if the request is not allowed; the text says what is missing."""
        if self._token:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), self._token)
            if scheme.lower() != "bearer" or not same:
                raise Refused(401, "send the token of HEADRACE_WEB_TOKEN: Authorization: Bearer …")
        elif not self._local:
            raise Refused(403, "this server is open to the network; set HEADRACE_WEB_TOKEN for the worker, and send it")
        elif not _is_local(_host(request)):
            # DNS rebinding: a web page's own host name may resolve to this machine, and the browser allows that
            raise Refused(
                403, "without HEADRACE_WEB_TOKEN, ask this machine by a name of its own: 127.0.0.1, localhost"
            )


def _host(request: Any) -> str:
    """The host name in the request's Host header; empty if there is none, or it is invalid."""
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_local(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
