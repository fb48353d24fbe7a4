"""Secrets in what is declared: never themselves, only where Connect's worker finds them.

`${env:NAME}` is a variable of the worker, `${file:/path:key}` a line of a properties file there.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

MASK = "***"
_REFERENCE = re.compile(r"\$\{([^}:]+):([^}]*)\}")
_PASSWORDS = re.compile(r"""password=["']?([^"'\s;]*)""")
_SECRET_WORDS = re.compile(
    r"password|passphrase|passwd|secret|credential|token|jaas|(api|private|access|account)[.\-_]?key"
)


class SecretInPlain(ValueError):
    """A secret is written where only a reference to it may be; the text says what to write, and not the secret."""


class Unresolved(LookupError):
    """A reference that has no value here; the text says which."""


def is_reference(value: str) -> bool:
    """Whether a text consists of references alone, so that it may be shown."""
    return bool(value) and not _REFERENCE.sub("", value)


def is_secret(name: str) -> bool:
    """Whether the name of a setting says that its value is a secret."""
    return _SECRET_WORDS.search(name.lower()) is not None


def check(where: str, name: str, value: str) -> None:
    """Raises SecretInPlain for a secret that is no reference, and for an address with a name or password in it."""
    example = re.sub(r"\W+", "_", name).upper()
    if value and is_secret(name) and not _refers(name, value):
        raise SecretInPlain(
            f"{where}: {name} is a secret, and what is declared is printed; write ${{env:{example}}}, a variable of "
            "Connect's worker, or ${file:/path/to/file.properties:key}"
        )
    if _hides_secret(value):
        raise SecretInPlain(
            f"{where}: {name} holds a user or a password, and what is declared is printed; give them by settings of "
            f"their own, or write ${{env:{example}}}"
        )


def _refers(name: str, value: str) -> bool:
    """Whether a secret setting is no secret itself. JAAS has a user and more beside the password."""
    if "jaas" in name:
        return "password=" in value and all(is_reference(one) for one in _PASSWORDS.findall(value))
    return is_reference(value)


def _hides_secret(value: str) -> bool:
    address = value.removeprefix("jdbc:")
    if "://" not in address:
        return False
    try:
        parts = urlsplit(_REFERENCE.sub("", address))
    except ValueError:
        return False
    user = parts.netloc.rpartition("@")[0].strip(":")
    return bool(user) or any(is_secret(name) and text for name, text in parse_qsl(parts.query))


def shown(name: str, value: str, secret: bool = False) -> str:
    """A value as it may be printed: masked if it could be a secret and is no reference."""
    if (secret or is_secret(name)) and not is_reference(value):
        return MASK
    return MASK if _hides_secret(value) else value


def resolved(text: str, environ: Mapping[str, str] | None = None) -> str:
    """A text with what its references name on this machine; Unresolved for one that names nothing."""
    variables = os.environ if environ is None else environ

    def value(match: re.Match[str]) -> str:
        provider, path = match.groups()
        if provider == "env" and path in variables:
            return variables[path]
        if provider == "file":
            file, _, key = path.rpartition(":")
            if (found := _property(file, key)) is not None:
                return found
        raise Unresolved(f"{match[0]} has no value on this machine")

    return _REFERENCE.sub(value, text)


def _property(file: str, key: str) -> str | None:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith(("#", "!")))
    return next((value.strip() for name, _, value in pairs if name.strip() == key), None)
