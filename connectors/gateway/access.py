"""Who may do what: bearer tokens in a file, as hashes, each with a name and what it may do."""

import hmac
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from headrace.connectors.gateway.problems import Problem

RIGHTS = ("commands", "facts", "read")


class TokensUnfit(ValueError):
    """A file of tokens that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One caller. The token itself is nowhere kept."""

    name: str
    digest: bytes
    """SHA-256 of the token."""
    may: frozenset[str]
    """Rights, such as `commands`, for all domains; or for one: `commands:hand`."""


ANYBODY = Token("anybody", b"", frozenset(RIGHTS))
"""Who asks a gateway without tokens, which listens on its own machine only."""


class Access:
    """The tokens of one gateway; without any, everybody who reaches it may do everything."""

    def __init__(self, tokens: Sequence[Token] = ()) -> None:
        self._tokens = tokens

    @property
    def open(self) -> bool:
        """Whether anybody may do everything."""
        return not self._tokens

    def caller(self, authorization: str) -> Token:
        """Whose token it is; Problem 401 if nobody's. It takes the same time for each token."""
        if not self._tokens:
            return ANYBODY
        scheme, _, given = authorization.partition(" ")
        digest = sha256(given.strip().encode(errors="surrogateescape")).digest()
        found = [token for token in self._tokens if hmac.compare_digest(token.digest, digest)]
        if scheme.lower() != "bearer" or not found:
            raise Problem(401, "send a token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})
        return found[0]

    @staticmethod
    def check(caller: Token, right: str, domain: str) -> None:
        """Raise Problem 403 unless the caller may do this in a domain."""
        if right not in caller.may and f"{right}:{domain}" not in caller.may:
            raise Problem(403, f"{caller.name} needs {right}:{domain}", needs=f"{right}:{domain}")


def tokens(path: Path) -> list[Token]:
    """The tokens of a file: `[[token]]` tables with `name`, `sha256` and a list `may`. Raises TokensUnfit."""
    try:
        tables = tomllib.loads(path.read_text())["token"]
        found = [Token(str(one["name"]), bytes.fromhex(one["sha256"]), frozenset(one["may"])) for one in tables]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TokensUnfit(
            f"{path} cannot be read: {type(error).__name__}: {error}. It has a table for each token: "
            '[[token]], name = "shop", sha256 = "…", may = ["commands:hand", "read"]'
        ) from None
    for token in found:
        if len(token.digest) != 32:
            raise TokensUnfit(f"{path}: the sha256 of {token.name} has {len(token.digest)} bytes, and not 32")
        if wrong := sorted(right for right in token.may if right.partition(":")[0] not in RIGHTS):
            raise TokensUnfit(f"{path}: {token.name} may {wrong[0]!r}; rights are {', '.join(RIGHTS)}, or one :domain")
    if not found:
        raise TokensUnfit(f"{path} holds no token")
    return found
