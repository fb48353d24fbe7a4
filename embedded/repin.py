"""For maintainers: `python -m headrace.embedded.repin 4.4.0` writes `pins.py` anew for another Kafka.

It resolves what Kafka needs, brings the jars, and takes down their checksums. Look at what changed before it is
committed; `jars.KAFKA_VERSION` and the version in the tests go along with it.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from jgo.maven import MavenContext

from headrace.embedded import pins

# The newest slf4j binding for the slf4j-api 1.7 that Kafka is built with. Kafka itself brings none.
_LOGGING = "org.slf4j:slf4j-simple:1.7.36"


def coordinates(version: str) -> list[str]:
    """What the embedded Kafka is made of; `connect-runtime` is for the connectors."""
    kafka = [f"org.apache.kafka:{name}:{version}" for name in ("kafka_2.13", "kafka-tools", "connect-runtime")]
    return [*kafka, _LOGGING]


def main(version: str) -> None:
    """Write `pins.py`."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        context: Any = MavenContext(repo_cache=Path(folder))
        wanted = [context.create_dependency(coordinate) for coordinate in coordinates(version)]
        given, followed = context.resolver.resolve(wanted)
        for dependency in [*given, *followed]:
            content = dependency.artifact.resolve().read_bytes()
            line = f"  {dependency.artifactId} {len(content)} {hashlib.sha256(content).hexdigest()}"
            groups[dependency.groupId, dependency.version].append(line)
    lines = [line for (group, of), jars in sorted(groups.items()) for line in (f"{group} {of}", *sorted(jars))]
    target = Path(pins.__file__)
    head = target.read_text().partition('PINS = """\n')[0]
    target.write_text(head + 'PINS = """\n' + "\n".join(lines) + '\n"""\n')


if __name__ == "__main__":
    main(sys.argv[1])
