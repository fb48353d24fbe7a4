"""Reads the declarations of upcasters, and puts those of each domain together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from headrace.schemas.event_schema import EventSchema
from headrace.topology.inspection.signatures import (
    Method,
    as_text,
    component_name,
    events_in,
    instance_of,
    is_message,
    marked_methods,
    members,
    missing_applier,
    returns_others,
)
from headrace.topology.inspection.spec import ComponentSpec, type_name
from headrace.topology.upcaster import Upcaster
from headrace.topology.upcaster_chain import Link, UpcasterChain


def add_upcasters(
    upcasters: Iterable[type[Upcaster]], components: Mapping[str, ComponentSpec], mistakes: list[str]
) -> None:
    """Give each component the chain of its upcasters; what is wrong is appended to `mistakes`, a line each."""
    for domain, links in links_by_domain(upcasters, mistakes).items():
        spec = components.get(domain)
        if spec is None or spec.state is None:
            known = ", ".join(name for name, one in components.items() if one.state is not None) or "none"
            mistakes.append(f"{links[0].where}: {domain!r} writes no events in this topology; there are: {known}")
            continue
        chain = chain_of(domain, links, mistakes)
        if chain is not None:
            spec.upcasters = chain
            _check_applied(chain, spec, mistakes)


def chain_of(domain: str, links: Sequence[Link], mistakes: list[str]) -> UpcasterChain | None:
    """The upcasters of a domain, put together; None if they do not fit together, and `mistakes` says why."""
    before, chain = len(mistakes), UpcasterChain(links)
    _check_steps(domain, chain, mistakes)
    return chain if len(mistakes) == before else None


def links_by_domain(upcasters: Iterable[type[Upcaster]], mistakes: list[str]) -> dict[str, list[Link]]:
    """The methods of upcasters by the component whose events they take."""
    found: dict[str, list[Link]] = defaultdict(list)
    for upcaster in upcasters:
        name = component_name(upcaster, "domain", mistakes)
        if name is None or (instance := instance_of(upcaster, mistakes)) is None:
            continue
        links = [
            link for method in marked_methods(instance, ["upcasts"], mistakes) for link in _links(method, mistakes)
        ]
        if not links:
            mistakes.append(f"{upcaster.__name__}: has no method marked @upcasts that takes an event")
        else:
            found[name] += links
    return found


def resolve_sources(spec: ComponentSpec, sources: Iterable[ComponentSpec]) -> None:
    """Give a component the upcasters of those whose events it reads."""
    spec.source_upcasters = {source.name: source.upcasters for source in sources if source.upcasters.links}


def _links(method: Method, mistakes: list[str]) -> Iterable[Link]:
    where, mark = method.where, method.mark
    if len(method.parameters) != 1:
        mistakes.append(f"{where}: takes {len(method.parameters)} arguments; @upcasts takes (old_event)")
        return
    if returns_others(method.returned):
        text = as_text(method.returned)
        mistakes.append(f"{where}: wrong return type {text}; return an event, a list of events or None")
    for option, number in (("version", mark.version), ("makes", mark.makes)):
        if number is not None and (type(number) is not int or number < 1):
            mistakes.append(f"{where}: {option} is {number!r}; versions are 1, 2, 3, …")
            return
    results = tuple(dict.fromkeys(events_in(method.returned)))
    for message in members(method.parameters[0]):
        if not is_message(message):
            mistakes.append(f"{where}: {as_text(message)} is no protobuf message, nor a union of them")
        else:
            yield Link(message, mark.version, mark.makes, method.call, results, where)


# ---- whether they fit together


def _check_steps(domain: str, chain: UpcasterChain, mistakes: list[str]) -> None:
    taken: dict[EventSchema, Link] = {}
    for link in chain.links:
        schema = chain.taken(link)
        if (other := taken.setdefault(schema, link)) is not link:
            mistakes.append(f"{link.where}: {schema} is lifted by {other.where} already; keep one of them")
    for name, newest in chain.versions.items():
        for version in range(1, newest):
            if EventSchema(name, version) not in taken:
                mistakes.append(
                    f"{domain}: nothing lifts version {version} of {name}, which has {newest} versions; add a method "
                    f"marked @upcasts(version={version})"
                )
    for link in chain.links:
        _check_makes(chain, link, mistakes)
    for schema, link in taken.items():
        if (loop := _loop(chain, schema)) is not None:
            mistakes.append(
                f"{link.where}: leads back to what it takes: {loop}; for a new meaning of a type that is still "
                "written, say which version it takes: @upcasts(version=1)"
            )
            return


def _check_makes(chain: UpcasterChain, link: Link, mistakes: list[str]) -> None:
    names = [type_name(result) for result in link.results if result is not link.message or link.version is None]
    several = {name: chain.versions[name] for name in names if name in chain.versions}
    if link.makes is not None and not several:
        made = ", ".join(names) or "no other type"
        mistakes.append(f"{link.where}: makes={link.makes} means nothing, as it makes {made}, without several versions")
    for name, newest in several.items():
        if link.makes is None:
            mistakes.append(f"{link.where}: makes {name}, which has {newest} versions; say which: @upcasts(makes=1)")
        elif link.makes > newest:
            mistakes.append(f"{link.where}: makes version {link.makes} of {name}, whose newest one is {newest}")


def _check_applied(chain: UpcasterChain, spec: ComponentSpec, mistakes: list[str]) -> None:
    """A mistake for each old type that is still written, and for each event that a chain ends in and nobody applies."""
    for link in chain.links:
        name = type_name(link.message)
        if link.version is None and name in spec.appliers:
            mistakes.append(
                f"{link.where}: lifts {name}, which {spec.class_name} writes or applies today; remove it there, or say "
                "which version of it is lifted: @upcasts(version=1)"
            )
        for result in link.results:
            made = chain.made(link, result)
            applier = spec.appliers.get(made.type)
            if made.key not in chain.old and (applier is None or applier.call is missing_applier):
                mistakes.append(
                    f"{link.where}: makes {made.type}, which {spec.class_name} does not apply; add an @applies method "
                    "that takes it, or an @upcasts method"
                )


def _loop(chain: UpcasterChain, start: EventSchema) -> str | None:
    """The way from a schema back to itself; None if there is none."""
    ways: list[tuple[EventSchema, ...]] = [(start,)]
    seen = {start}
    while ways:
        way = ways.pop()
        if (found := chain.old.get(way[-1].key)) is None:
            continue
        _, link = found
        for result in link.results:
            made = chain.made(link, result)
            if made == start:
                return " -> ".join(map(str, (*way, start)))
            if made not in seen:
                seen.add(made)
                ways.append((*way, made))
    return None
