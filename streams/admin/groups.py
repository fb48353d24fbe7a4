"""Consumer groups as operators meet them: waited for until nobody is in them, and deleted."""

import time
from collections.abc import Sequence
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from headrace.streams.settings import Settings


class GroupInUse(RuntimeError):
    """A group has members still, who would undo what is to be done."""


def await_empty(settings: Settings, component: str) -> None:
    """Wait up to 10 seconds for members that are leaving; raise GroupInUse if there are still some."""
    group = f"{settings.prefix}headrace.{component}"
    client = AdminClient(settings.client())
    deadline = time.monotonic() + 10
    while True:
        (future,) = client.describe_consumer_groups([group], request_timeout=10).values()
        try:
            members = future.result().members
        except Exception as error:  # a group that nobody ever joined
            if "GROUP_ID_NOT_FOUND" in str(error):
                return
            raise
        if not members:
            return
        if time.monotonic() > deadline:
            raise GroupInUse(f"{len(members)} worker(s) run {component}; stop them first, then set its positions")
        time.sleep(0.5)


def delete_groups(settings: Settings, groups: Sequence[str]) -> None:
    """Delete these groups with their offsets; one that is not there is no error.

    Waits up to 30 seconds for members that are leaving; raises GroupInUse if there are still some.
    """
    client, left, deadline = AdminClient(settings.client()), list(groups), time.monotonic() + 30
    while True:
        deleted = client.delete_consumer_groups(left, request_timeout=10)
        left = [group for group, future in deleted.items() if not _is_deleted(future)]
        if not left:
            return
        if time.monotonic() > deadline:
            raise GroupInUse(f"the consumer group {left[0]} has members still; stop them, then do this again")
        time.sleep(0.5)


def _is_deleted(future: Future[None]) -> bool:
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.NON_EMPTY_GROUP:
            return False
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise
    return True
