"""What a Connect cluster has, compared with what is declared: field by field, and without secrets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from headrace.connectors.connect.references import shown
from headrace.connectors.connect.rendering import Rendered, belongs
from headrace.topology.names import Names

Configs = Mapping[str, Mapping[str, str]]
"""Settings of connectors, by name."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as declared; None where there is nothing. Secrets are masked."""

    connector: str
    declared: str | None
    actual: str | None
    field: str = ""
    """A setting; empty where the whole is missing, or is not declared."""
    what: str = "connector"
    """Whose: the connector's, or its index's."""

    def __str__(self) -> str:
        if self.field:
            where = f"{self.what} {self.field}" if self.what != "connector" else self.field
            return f"{self.connector}: {where}: {_text(self.actual)}, declared {_text(self.declared)}"
        if self.actual is None:
            return f"{self.connector}: {self.what} is missing"
        return f"{self.connector}: is not declared; `headrace connect delete` removes it"


def _text(value: str | None) -> str:
    return "not set" if value is None else repr(value)


def differences(
    declared: Sequence[Rendered], actual: Configs, names: Names, edition: str, secrets: Mapping[str, Collection[str]]
) -> list[Difference]:
    """How the connectors of a deployment differ from what is declared.

    `secrets` has the names of secret settings, by class of the plug-in. Connectors of others are left out.
    """
    found: list[Difference] = []
    for one in declared:
        if one.name not in actual:
            found.append(Difference(one.name, one.config["connector.class"], None))
        else:
            found += _fields(one, actual[one.name], secrets)
    known = {one.name for one in declared}
    strangers = [name for name in sorted(actual) if name not in known and belongs(name, names, edition)]
    return found + [Difference(name, None, actual[name].get("connector.class", "")) for name in strangers]


def _fields(declared: Rendered, actual: Mapping[str, str], secrets: Mapping[str, Collection[str]]) -> list[Difference]:
    hidden = {
        name
        for cls in (declared.config["connector.class"], actual.get("connector.class", ""))
        for name in secrets.get(cls, ())
    }
    # a value that is declared by reference is as secret as what it names
    hidden |= {name for name, value in declared.config.items() if "${" in value}
    found = []
    for name in sorted({*declared.config, *actual}):
        want, have = declared.config.get(name), actual.get(name)
        if want != have:
            masked = None if have is None else shown(name, have, name in hidden)
            found.append(Difference(declared.name, want, masked, name))
    return found
