"""Brings a Connect cluster to what is declared, and does nothing where it is so already."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.connectors.connect.client import ConnectClient, ConnectFailed
from headrace.connectors.connect.diff import Difference, differences
from headrace.connectors.connect.rendering import Rendered, belongs
from headrace.connectors.search.index import IndexAdmin
from headrace.connectors.sinks import Sinks
from headrace.topology.names import Names

MakeTopics = Callable[[Sequence[str]], Iterable[str]]
"""Makes topics that are missing, and returns those."""
Stopped = Callable[[Rendered], list[str]]
"""What else a reset does while a sink stands still; a line for each thing done."""


class PluginMissing(ConnectFailed):
    """The workers do not have the plug-in that a sink needs."""


class ConfigRefused(ConnectFailed):
    """A plug-in refuses a configuration; the text has a line for each setting."""


class NotOurs(LookupError):
    """A connector that is not of this deployment is named: it is never touched."""


class NotEmptied(ValueError):
    """A reset needs an empty table, or none to be emptied; the text says what to do."""


@dataclass(frozen=True)
class Deployed:
    """The sinks of a deployment, and the Connect cluster that is to run them."""

    client: ConnectClient
    names: Names
    edition: str
    declared: list[Rendered]

    @classmethod
    def look(cls, client: ConnectClient, sinks: Sinks, names: Names, edition: str) -> "Deployed":
        """Asks the cluster for its plug-ins, and renders for them."""
        return cls(client, names, edition, sinks.render(names, edition, client.plugins()))

    def named(self, wanted: Sequence[str]) -> list[str]:
        """Full names of connectors that a person has named, in full or without prefix and edition; all if none is.

        Raises NotOurs for one that does not belong to this deployment, or that is neither declared nor there.
        """
        if not wanted:
            return [one.name for one in self.declared]
        begin = f"{self.names.prefix}{self.edition}."
        found = []
        known = {one.name for one in self.declared} | set(self.client.configs())
        for given in wanted:
            name = given if given in known else begin + given
            if name not in known or not belongs(name, self.names, self.edition):
                ours = ", ".join(sorted(one for one in known if belongs(one, self.names, self.edition))) or "none"
                raise NotOurs(
                    f"{given!r} is no connector of this deployment; there are: {ours}. Others are not touched"
                )
            found.append(name)
        return found

    def differences(self) -> list[Difference]:
        """How the cluster and the indexes differ from what is declared."""
        actual = self.client.configs()
        classes = {one.config["connector.class"] for one in self.declared} | {
            config.get("connector.class", "")
            for name, config in actual.items()
            if belongs(name, self.names, self.edition)
        }
        secrets = {plugin: self.client.secret_settings(plugin) for plugin in classes if plugin}
        found = differences(self.declared, actual, self.names, self.edition, secrets)
        return found + [one for rendered in self.declared for one in _index_differences(rendered)]

    def deploy(self, make_topics: MakeTopics, begins: Callable[[Rendered], None]) -> list[str]:
        """Make and change what differs; a line for each thing done, none if all is as declared.

        Index and topics first; a connector is made without working, and works once all is there. All sinks are
        checked before anything is changed. `begins` is called for each one that is about to work, and may not have
        worked before. Raises ConnectFailed, SearchFailed.
        """
        actual = self.client.configs()
        states = {name: status["connector"]["state"] for name, status in self.client.statuses().items()}
        changed = [one for one in self.declared if actual.get(one.name) != one.config]
        for one in changed:
            self._validate(one)
        done: list[str] = []
        for one in self.declared:
            done += _make_index(one)
        done += [f"created topic {name}" for name in make_topics([t for one in self.declared for t in _topics(one)])]
        for one in changed:
            if one.name in actual:
                self.client.change(one.name, one.config)
                done.append(f"changed {one.name}")
            else:
                self.client.create(one.name, one.config)
                done.append(f"created {one.name}")
        for one in self.declared:
            # one that is stopped is left from a deployment that was interrupted; a person would have paused it
            if one.name not in actual or states.get(one.name) == "STOPPED":
                begins(one)
                self.client.start(one.name)
                done.append(f"started {one.name}")
        return done

    def reset(self, name: str, stopped: Stopped, *, emptied: bool = False) -> list[str]:
        """Fill what a sink has from the oldest record on: stop, drop its index, forget its offsets, make the index,
        resume. `stopped` is called before it works again; `emptied` says that a person has emptied a table.

        Raises ConnectFailed for one that cannot be reset, with what to do instead.
        """
        one = next((one for one in self.declared if one.name == name), None)
        if one is None:
            raise ConnectFailed(f"{name} is not declared, and only declared sinks can be reset; delete it instead")
        if one.no_reset:
            raise ConnectFailed(f"{name} cannot be reset: {one.no_reset}")
        if one.to_empty and not emptied:
            raise NotEmptied(
                f"{name} cannot be reset yet: rows stay of documents whose deletion the topic has forgotten. Run "
                f"`headrace connect pause {name}`, then {one.to_empty} in the database, then `headrace connect reset "
                f"{name} --emptied`"
            )
        if emptied and not one.to_empty:
            raise NotEmptied(f"{name} has no table that is emptied by hand; leave out --emptied")
        index = None if one.index is None else IndexAdmin(one.index)
        self.client.stop(name)
        if index is not None:
            index.drop()
        self.client.forget_offsets(name)
        if index is not None:
            index.create()
        done = stopped(one)
        self.client.start(name)
        return [f"{name} reads all documents again", *done, *one.notes]

    def _validate(self, one: Rendered) -> None:
        plugin = one.config["connector.class"]
        if plugin not in (offered := self.client.plugins()):
            raise PluginMissing(
                f"{one.source}: the workers of Connect at {self.client.url} do not have {plugin}; put its jars into "
                f"their plugin.path. They have: {', '.join(sorted(offered)) or 'none'}"
            )
        errors = self.client.validate({"name": one.name, **one.config})
        lines = [f"  - {setting}: {text}" for setting, texts in errors.items() for text in texts]
        if lines:
            raise ConfigRefused(
                f"{one.source}: {plugin} refuses its configuration:\n" + "\n".join(lines) + "\nNothing was changed"
            )


def _topics(one: Rendered) -> tuple[str, ...]:
    return (one.source.dead_letters, *one.topics)


def _index_differences(one: Rendered) -> list[Difference]:
    if one.index is None:
        return []
    actual = IndexAdmin(one.index).settings()
    if actual is None:
        return [Difference(one.name, one.index.name, None, what="index")]
    # not analysers and the like, which the server spreads out, and which never change
    wanted = {k: v for k, v in one.index.body["settings"]["index"].items() if not isinstance(v, Mapping)}
    return [
        Difference(one.name, str(value), actual.get(f"index.{name}"), name, what="index")
        for name, value in wanted.items()
        if actual.get(f"index.{name}") != str(value)
    ]


def _make_index(one: Rendered) -> list[str]:
    if one.index is None:
        return []
    admin, wanted = IndexAdmin(one.index), one.index.body["settings"]["index"]
    if admin.create():
        return [f"created index {one.index.name}"]
    wrong = {difference.field: wanted[difference.field] for difference in _index_differences(one)}
    if not wrong:
        return []
    admin.change(wrong)
    return [f"changed index {one.index.name}: {', '.join(f'{name}={value}' for name, value in wrong.items())}"]
