"""Errors as problem details (RFC 9457), which is what every error body is."""

from typing import Any

TYPE = "application/problem+json"
_TITLES = {
    400: "the request cannot be read",
    401: "who you are is not known",
    403: "this is not permitted",
    404: "there is no such thing",
    405: "this method is not for this address",
    409: "the root has changed since",
    413: "it is too large",
    415: "this content type is not read here",
    422: "the command was not accepted",
    500: "the gateway has failed",
    503: "the outcome is not known",
}


class Problem(Exception):
    """A request, or one event of a batch, that is not answered as it was meant."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers or {}, more

    def data(self) -> dict[str, Any]:
        """The body; `more` stands beside the members of the standard."""
        title = _TITLES.get(self.status, "the request was not served")
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, **self.more}


def field(name: str, detail: str) -> Problem:
    """A 400 that names what is wrong."""
    return Problem(400, f"{name}: {detail}", field=name)
