"""Requests to servers that speak JSON over HTTP."""

import json
import urllib.error
import urllib.request
from typing import Any


def ask(method: str, url: str, body: Any = None, authorization: str = "") -> tuple[int, Any]:
    """Status and JSON of an answer, whatever the status is; OSError where there is none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    if authorization:
        request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text, status = answer.read(), answer.status
    except urllib.error.HTTPError as error:
        text, status = error.read(), error.code
    return status, json.loads(text) if text else None
