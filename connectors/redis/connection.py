"""Connections to Redis, a single server or a cluster."""

from typing import Any

import structlog

from headrace.connectors.redis.declaration import AddressUnfit
from headrace.extras import MissingExtra

try:
    import redis.asyncio
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisClusterException, RedisError
    from redis.retry import Retry
except ModuleNotFoundError as error:
    raise MissingExtra("redis", error) from None

log = structlog.get_logger()

ERRORS = (RedisError, RedisClusterException)
"""What calls raise when Redis is away, or refuses."""
_SECONDS = 3.0  # for one call
_OPTIONS: dict[str, Any] = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}


def checked(url: str) -> str:
    """The address, if it is one; AddressUnfit if not. Nothing is connected to."""
    _made(redis.Redis.from_url, url, {})
    return url


def connect(url: str) -> Any:
    """A client of the server, or of the cluster, at `url`. Raises one of ERRORS if there is no answer, AddressUnfit.

    A call that finds its connection closed tries another one, once.
    """
    options = {**_OPTIONS, "retry": Retry(NoBackoff(), 1)}
    client = _made(redis.Redis.from_url, url, options)
    about = client.info()
    _warn(about)
    if not about.get("cluster_enabled"):
        return client
    client.close()
    return redis.RedisCluster.from_url(url, **options)


async def connect_async(url: str) -> Any:
    """The same for asyncio."""
    options = {**_OPTIONS, "retry": AsyncRetry(NoBackoff(), 1)}
    client = _made(redis.asyncio.Redis.from_url, url, options)
    about = await client.info("cluster")
    if not about.get("cluster_enabled"):
        return client
    await client.aclose()
    return redis.asyncio.RedisCluster.from_url(url, **options)


def _made(make: Any, url: str, options: dict[str, Any]) -> Any:
    try:
        return make(url, **options)
    except ValueError:
        raise AddressUnfit("the address of Redis must be redis://…, rediss://… or unix://…") from None


def _warn(about: dict[str, Any]) -> None:
    """Say it if Redis may throw documents away by itself."""
    policy = about.get("maxmemory_policy", "noeviction")
    if about.get("maxmemory") and policy != "noeviction":
        log.warning("Redis may evict documents, which readers then take for deleted", maxmemory_policy=policy)
