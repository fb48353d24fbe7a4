"""Documents into other systems: the search sink beside Kafka's file sink, and the writer of Redis.

The servers are the user's: SEARCH_URL names an OpenSearch or Elasticsearch without users, REDIS_URL a Redis; where that
is not set, a redis-server of this machine is started. What is not there is left out.
"""

import os
import shutil
from typing import Any

from headrace.bench import redis_sink, search_sink
from headrace.bench.load import Progress

TARGETS = search_sink.TARGETS | redis_sink.TARGETS
NO_SEARCH = "SEARCH_URL does not name an OpenSearch or Elasticsearch, without users"
NO_REDIS = "REDIS_URL does not name a Redis, and there is no redis-server on this machine"


def run(
    progress: Progress, bootstrap: str, *, documents: int = 100_000, rounds: int = 3, partitions: int = 6
) -> dict[str, Any]:
    """Measure those that are there: `documents` documents to each, `rounds` times.

    Raises RuntimeError where there is neither, or when documents are not where they should be.
    """
    sizes = {"documents": documents, "rounds": rounds, "partitions": partitions}
    measured, left_out = [], {}
    if url := os.environ.get("SEARCH_URL", "").rstrip("/"):
        measured.append(search_sink.search_sink(progress, bootstrap, url, **sizes))
    else:
        left_out["search"] = NO_SEARCH
    if os.environ.get("REDIS_URL") or shutil.which("redis-server"):
        measured.append(redis_sink.redis_sink(progress, bootstrap, **sizes))
    else:
        left_out["redis"] = NO_REDIS
    if not measured:
        raise RuntimeError(f"there is nothing to measure: {'; '.join(left_out.values())}")
    figures = {name: value for one in measured for name, value in one.items()}
    return {
        **dict.fromkeys(TARGETS),
        **figures,
        "bench": "sinks",
        "what": ". ".join(one["what"] for one in measured),
        "how": ". ".join(one["how"] for one in measured),
        "left_out": left_out,
    }
