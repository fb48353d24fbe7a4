"""Dead letters over HTTP on real Kafka: made, listed, shown, sent again twice, given up; and nothing is held up."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from confluent_kafka import Producer

from headrace.embedded import EmbeddedKafka
from tests.support.deployment import Worker, until
from tests.support.workflow_deployment import WorkflowDeployment, workflow_of

pytestmark = pytest.mark.kafka
TOKEN = "a token of this test"  # noqa: S105


def ask(worker: Worker, path: str, body: Any = None, token: str = "", **query: str) -> tuple[int, Any]:
    """Status and JSON of a page below /dead-letters."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{worker.port}/dead-letters{path}?{urlencode(query)}".rstrip("?"),
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
    )
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_letters_are_listed_shown_sent_again_and_given_up(workflow: WorkflowDeployment) -> None:
    """Twice over: while nobody can handle it, and when it is handled already. It is done once."""
    variables = {"HEADRACE_WEB_HOST": "0.0.0.0", "HEADRACE_WEB_TOKEN": TOKEN, "BANK_MENDED": 1}
    broken = workflow.worker("w", **variables | {"BANK_MENDED": 0}).start().await_ready(60)
    workflow.deposit(dead=[1, 13, 3, 4], given=[13, 3], fine=[1])
    ledger = workflow.settled()
    assert [len(ledger.messages("book", root)) for root in ("dead", "given", "fine")] == [1, 0, 1]

    # list and show, for who has the token
    assert ask(broken, "")[0] == 401
    status, found = ask(broken, "", token=TOKEN, component="keeper", **{"class": "ZeroDivisionError"})
    assert status == 200
    first, second = sorted(found, key=lambda dead_letter: str(dead_letter["root"]))
    (event,) = [e for e in ledger.entries("purse", "events") if e.key == b"dead|00000000000000000001"]
    assert first["id"] == f"{workflow.topic('purse', 'events')}/{event.partition}/{event.offset}"
    assert (first["component"], first["root"], second["root"]) == ("saga:keeper", "dead", "given")
    status, shown = ask(broken, "/show", token=TOKEN, id=first["id"])
    assert (status, shown["key"], shown["value_hex"]) == (200, "dead|00000000000000000001", (event.value or b"").hex())
    assert shown["headers"] == {name: value.decode() for name, value in event.headers.items()}

    # a dry run does nothing
    would = {"id": first["id"], "done": "would be sent again"}
    assert ask(broken, "/replay", {"root": "dead", "dry_run": True}, TOKEN) == (200, [would])
    assert ask(broken, "/replay", {"root": "dead"}) == (401, {"error": ask(broken, "")[1]["error"]})
    assert ask(broken, "/discard", {}, TOKEN)[0] == 400
    assert not workflow.read("keeper", "inbox")
    broken.kill()

    # a worker that has no part of the saga sends it again twice, before anybody can handle it
    aloof = workflow.worker("aloof", BANK_COMPONENTS="book", **variables).start()
    aloof.await_ready(60)
    for _ in range(2):
        sent = [{"id": first["id"], "done": "sent again"}]
        assert ask(aloof, "/replay", {"class": "ZeroDivisionError", "root": "dead"}, TOKEN) == (200, sent)
    given = [{"id": second["id"], "done": "discarded"}]
    assert ask(aloof, "/discard", {"ids": [second["id"]]}, TOKEN) == (200, given)
    assert len(workflow.read("keeper", "inbox")) == 3

    mended = workflow.worker("mended", **variables).start().await_ready(90)
    ledger = workflow.settled(90)
    assert [e.note for e in ledger.messages("book", "dead")] == ["0", "1", "2", "3"]
    assert [e.note for e in ledger.messages("book", "given")] == ["1"]
    assert ask(mended, "", token=TOKEN) == (404, {"error": "no dead letters"})
    assert ask(mended, "/replay", {"ids": [first["id"]]}, TOKEN)[0] == 404
    settled = {
        dead_letter["root"]: dead_letter["settled"] for dead_letter in ask(mended, "", token=TOKEN, all="true")[1]
    }
    assert settled == {"dead": "replayed", "given": "discarded"}
    workflow.deposit(dead=[3])
    assert [e.note for e in workflow.settled().messages("book", "dead")] == ["0", "1", "2", "3", "4"]
    assert TOKEN not in mended.log.read_text() + aloof.log.read_text()


def test_a_read_that_waits_holds_up_neither_the_engine_nor_the_end(workflow: WorkflowDeployment) -> None:
    """Somebody's transaction is open on a topic of dead letters: a list waits for it, and nothing for the list."""
    worker = workflow.worker().start().await_ready(60)
    workflow.deposit(early=[13])
    workflow.settled()
    stranger = Producer(
        {"bootstrap.servers": workflow.settings.bootstrap, "transactional.id": f"{workflow.settings.prefix}s"}
    )
    stranger.init_transactions(30)
    stranger.begin_transaction()
    stranger.produce(workflow.topic("keeper", "dead-letters"), b"x")
    assert stranger.flush(30) == 0
    with ThreadPoolExecutor(2) as callers:
        waiting = [callers.submit(ask, worker, "") for _ in range(2)]
        workflow.deposit(other=[1, 3])
        until(lambda: len([e for e in workflow.read("book", "events") if e.key]) == 2, "the book has noted both", 60)
        assert worker.page("/healthz")[0] == 200
        assert not any(each.done() for each in waiting)
        assert worker.stop() < 15
        assert [each.result()[0] for each in waiting] == [503, 503]
    stranger.abort_transaction(30)
    worker.start().await_ready(60)
    status, found = ask(worker, "")
    assert (status, [dead_letter["root"] for dead_letter in found]) == (200, ["early"])


def test_brokers_away_is_said_in_time(tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka, workflow_of(kafka.bootstrap, "topology", tmp_path) as workflow:
        worker = workflow.worker().start().await_ready(60)
        assert ask(worker, "") == (404, {"error": "no dead letters"})
        kafka.pause()
        try:
            status, answer = ask(worker, "/replay", {"root": "x"})
            assert status == 503
            assert answer["error"].startswith("the brokers do not answer, or refuse: ")
            assert worker.page("/healthz")[0] == 200
        finally:
            kafka.resume()
        until(lambda: ask(worker, "") == (404, {"error": "no dead letters"}), "the brokers were asked again", 60)
