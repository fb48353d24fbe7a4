"""The registry of editions on real Kafka: one writer at a time, whoever comes or dies, and readers that follow it."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Producer

from headrace.streams.editions.follower import Follower
from headrace.streams.editions.record import DELETED, DELETING, Edition, to_bytes
from headrace.streams.editions.registry import EditionRefused, EditionUnknown, Registry, new_id
from headrace.streams.settings import Settings
from headrace.topology.cut import Cut
from tests.support import deadlines

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(bootstrap: str) -> Settings:
    return Settings(bootstrap=bootstrap, prefix=f"t{uuid.uuid4().hex[:8]}.")


@pytest.fixture
def registry(settings: Settings) -> Registry:
    registry = Registry(settings)
    assert registry.all() == {}  # a deployment without a registry has no editions
    registry.prepare()
    return registry


def edition(name: str, parent: str = "main") -> Edition:
    return Edition(name, new_id(), parent, Cut(1000, {"hand": 3}, {("hand", "h-17"): 41}), 2000)


def test_an_edition_is_there_until_its_topics_are_gone(registry: Registry) -> None:
    trial = registry.add(edition("trial"))
    assert registry.all() == registry.live() == {"trial": trial}
    assert registry.find("trial") == trial
    assert registry.add(trial) == trial  # an attempt whose outcome was unknown
    with pytest.raises(EditionRefused, match="there is an edition trial already"):
        registry.add(edition("trial"))

    assert registry.begin_deletion("trial").state == DELETING
    assert registry.live() == {}
    with pytest.raises(EditionRefused, match="still being deleted"):
        registry.add(edition("trial"))
    registry.end_deletion(registry.begin_deletion("trial"))  # once more, after one that was killed in between
    assert registry.all()["trial"].state == DELETED
    with pytest.raises(EditionUnknown, match="no edition 'trial'; there are: none but main"):
        registry.begin_deletion("trial")

    again = registry.add(edition("trial"))
    registry.end_deletion(trial)  # by one who comes late
    assert registry.find("trial") == again


def test_an_edition_with_a_child_stays(registry: Registry) -> None:
    with pytest.raises(EditionUnknown, match="no edition 'trial'"):
        registry.add(edition("child", "trial"))
    registry.add(edition("trial"))
    registry.add(edition("child", "trial"))
    with pytest.raises(EditionRefused, match="trial is continued by child; delete that first"):
        registry.begin_deletion("trial")
    registry.begin_deletion("child")
    with pytest.raises(EditionRefused, match="trial is continued by child"):
        registry.begin_deletion("trial")  # what the child has of it may still be read


def test_of_two_who_make_the_same_edition_one_succeeds(settings: Settings, registry: Registry) -> None:
    def make(_: int) -> Edition | None:
        try:
            return Registry(settings).add(edition("trial"))
        except EditionRefused:
            return None

    with ThreadPoolExecutor(4) as pool:
        (made,) = [one for one in pool.map(make, range(4)) if one is not None]
    assert registry.find("trial") == made


def test_all_who_make_different_editions_succeed(settings: Settings, registry: Registry) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: Registry(settings).add(edition(f"e{number}")), range(4)))
    assert registry.live() == {one.name: one for one in made}


def test_a_writer_that_died_before_its_commit_has_written_nothing(settings: Settings, registry: Registry) -> None:
    dead = Producer(settings.producer(transactional_id=f"{settings.prefix}headrace.editions"))
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce(settings.names.editions, to_bytes(edition("trial")), b"trial", 0)
    dead.flush(30)
    trial = registry.add(edition("trial"))
    assert registry.all() == {"trial": trial}


@pytest.fixture
def follower(registry: Registry) -> Iterator[Follower]:
    with registry.follow() as follower:
        yield follower


def await_edition(follower: Follower, name: str, state: str) -> float:
    """Seconds until the follower has seen it."""
    began = time.monotonic()
    while name not in follower.editions or follower.editions[name].state != state:
        follower.poll(0.1)
        assert time.monotonic() < began + deadlines.seconds(10), f"{name} was not seen to be {state}"
    return time.monotonic() - began


def test_a_follower_sees_what_is_recorded(registry: Registry, follower: Follower) -> None:
    deadline = time.monotonic() + deadlines.seconds(10)
    while not follower.current:
        follower.poll(0.1)
        assert time.monotonic() < deadline
    trial = registry.add(edition("trial"))
    await_edition(follower, "trial", "live")
    assert follower.editions == {"trial": trial}
    registry.begin_deletion("trial")
    await_edition(follower, "trial", DELETING)
    assert not follower.poll(0)


def test_a_follower_waits_for_the_registry(settings: Settings) -> None:
    registry = Registry(settings)
    with registry.follow() as follower:
        assert not follower.poll(0)
        assert follower.current
        registry.prepare()
        registry.add(edition("trial"))
        await_edition(follower, "trial", "live")
