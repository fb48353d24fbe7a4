"""What an author may declare, and what is said about each mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace import Aggregate, Context, Merge, Names, Topology, TopologyError, applies, handles
from headrace.examples import poker
from headrace.testing import given
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Accounts


def mistakes(*components: Any) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        Topology(*components)
    assert all(mistake in str(caught.value) for mistake in caught.value.mistakes)
    return caught.value.mistakes


class Good(Aggregate[pb.Account]):
    """Unions, lists, iterators, context, and annotations that are text because of the import at the top."""

    domain = "good"
    merge = Merge.STRICT

    @handles
    def change(
        self, state: pb.Account, command: pb.Deposit | pb.Withdraw, context: Context
    ) -> pb.Deposited | pb.Withdrawn:
        if isinstance(command, pb.Deposit):
            return pb.Deposited(balance=state.balance + command.amount)
        return pb.Withdrawn(balance=state.balance - command.amount)

    @handles(merge=Merge.COMMUTATIVE)
    def transfer(self, state: pb.Account, command: pb.Transfer) -> list[pb.Deposited] | pb.Withdrawn | None:
        return [pb.Deposited(balance=amount) for amount in command.amounts] or None

    @handles
    def open(self, state: pb.Account, command: pb.Open) -> Iterator[pb.Opened | pb.Deposited]:
        yield pb.Opened(owner=command.owner)
        yield pb.Deposited(balance=1)

    @handles
    def touch(self, state: pb.Account, command: pb.Touch) -> None:
        return None

    @handles
    def stash(self, state: pb.Account, command: pb.Stash) -> tuple[pb.Opened, ...]:
        return (pb.Opened(owner=command.pocket),)

    @applies
    def opened(self, state: pb.Account, event: pb.Opened) -> None:
        state.owner = event.owner

    @applies
    def moved(self, state: pb.Account, event: pb.Deposited | pb.Withdrawn) -> None:
        state.balance = event.balance


class Heir(Good):
    """Has the handlers of its parent, one of them replaced and one added."""

    domain = "heir"

    @handles
    def open(self, state: pb.Account, command: pb.Open) -> Iterator[pb.Opened]:
        yield pb.Opened(owner=command.owner.upper())

    @handles
    def annotate(self, state: pb.Account, command: pb.Annotate) -> None:
        return None


def test_unions_lists_context_and_inherited_handlers() -> None:
    specs = Topology(Good, Heir, Accounts).aggregates
    assert list(specs) == ["good", "heir", "account"]
    good = specs["good"].commands
    assert {name.removeprefix("bank.v1."): handler.method for name, handler in good.items()} == {
        "Deposit": "change",
        "Withdraw": "change",
        "Transfer": "transfer",
        "Open": "open",
        "Touch": "touch",
        "Stash": "stash",
    }
    assert good["bank.v1.Deposit"].wants_context
    assert good["bank.v1.Deposit"].events == (pb.Deposited, pb.Withdrawn)
    assert good["bank.v1.Transfer"].events == (pb.Deposited, pb.Withdrawn)
    assert good["bank.v1.Open"].events == (pb.Opened, pb.Deposited)
    assert good["bank.v1.Stash"].events == (pb.Opened,)
    assert good["bank.v1.Touch"].events == ()
    assert good["bank.v1.Deposit"].merge is Merge.STRICT
    assert good["bank.v1.Transfer"].merge is Merge.COMMUTATIVE
    assert set(specs["heir"].commands) == set(good) | {"bank.v1.Annotate"}
    assert set(specs["heir"].appliers) == set(specs["good"].appliers)


def test_good_declarations_run() -> None:
    given(Good).when(pb.Open(owner="Ann")).then(pb.Opened(owner="Ann"), pb.Deposited(balance=1))
    given(Good).when(pb.Withdraw(amount=2)).then(pb.Withdrawn(balance=-2))
    given(Good).when(pb.Transfer(amounts=[3, 4])).then_state(balance=4)
    given(Good).when(pb.Transfer()).then_nothing()
    given(Good).when(pb.Stash(pocket="left")).then(pb.Opened(owner="left"))
    given(Heir).when(pb.Open(owner="Ann")).then(pb.Opened(owner="ANN"))


# ---- mistakes; each class has one, in a method that the text must name


class NoApplier(Good):
    domain = "no-applier"

    @handles
    def annotate(self, state: pb.Account, command: pb.Annotate) -> pb.Annotated:
        raise NotImplementedError


class TwoHandlers(Good):
    domain = "two-handlers"

    @handles
    def deposit_too(self, state: pb.Account, command: pb.Deposit) -> None:
        return None


class TwoAppliers(Good):
    domain = "two-appliers"

    @applies
    def opened_too(self, state: pb.Account, event: pb.Opened) -> None: ...


class ReturnsText(Good):
    domain = "returns-text"

    @handles
    def annotate(self, state: pb.Account, command: pb.Annotate) -> list[str]:
        return []


class ReturnsAny(Good):
    domain = "returns-any"

    @handles
    def annotate(self, state: pb.Account, command: pb.Annotate) -> list:  # type: ignore[type-arg]
        return []


class ApplierReturns(Good):
    domain = "applier-returns"

    @applies
    def stashed(self, state: pb.Account, event: pb.Stashed) -> pb.Account:
        return state


class IsAsync(Good):
    domain = "is-async"

    @handles
    async def annotate(self, state: pb.Account, command: pb.Annotate) -> None:
        return None


class NoReturn(Good):
    domain = "no-return"

    @handles
    def annotate(self, state: pb.Account, command: pb.Annotate):  # type: ignore[no-untyped-def]
        return None


class NoAnnotation(Good):
    domain = "no-annotation"

    @handles
    def annotate(self, state: pb.Account, command) -> None:  # type: ignore[no-untyped-def]
        return None


class BadAnnotation(Good):
    domain = "bad-annotation"

    @handles
    def annotate(self, state: pb.Account, command: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
        return None


class NoMessage(Good):
    domain = "no-message"

    @handles
    def annotate(self, state: pb.Account, command: str) -> None:
        return None


class OtherState(Good):
    domain = "other-state"

    @handles
    def annotate(self, state: pb.Opened, command: pb.Annotate) -> None:
        return None


class TooFew(Good):
    domain = "too-few"

    @handles
    def annotate(self, state: pb.Account) -> None:
        return None


class TooMany(Good):
    domain = "too-many"

    @handles
    def annotate(self, state: pb.Account, command: pb.Annotate, context: Context, clock: int) -> None:
        return None


class ApplierTooMany(Good):
    domain = "applier-too-many"

    @applies
    def stashed(self, state: pb.Account, event: pb.Stashed, context: Context) -> None: ...


class OtherThird(Good):
    domain = "other-third"

    @handles
    def annotate(self, state: pb.Account, command: pb.Annotate, limit: int) -> None:
        return None


class Static(Good):
    domain = "static"

    @staticmethod
    @handles
    def annotate(state: pb.Account, command: pb.Annotate) -> None:
        return None


class NeedsArguments(Good):
    domain = "needs-arguments"

    def __init__(self, limit: int) -> None:
        self.limit = limit


class NoHandlers(Aggregate[pb.Account]):
    domain = "no-handlers"


class NoDomain(Aggregate[pb.Account]):
    @handles
    def touch(self, state: pb.Account, command: pb.Touch) -> None:
        return None


class BadDomain(Good):
    domain = "Bad Domain"


class NoState(Aggregate):  # type: ignore[type-arg]
    domain = "no-state"


class WrongState(Aggregate[int]):  # type: ignore[type-var]
    domain = "wrong-state"


TABLE = [
    (NoApplier, "NoApplier.annotate: no handler for bank.v1.Annotated, which it returns; add an @applies"),
    (TwoHandlers, "bank.v1.Deposit is handled by TwoHandlers.deposit_too already"),
    (TwoAppliers, "bank.v1.Opened is applied by TwoAppliers.opened_too already"),
    (ReturnsText, "ReturnsText.annotate: wrong return type list[str]; return an event, a list of events or None"),
    (ReturnsAny, "ReturnsAny.annotate: wrong return type list; return an event"),
    (ApplierReturns, "ApplierReturns.stashed: wrong return type Account; @applies changes state and returns None"),
    (IsAsync, "IsAsync.annotate: is async; a handler does no I/O and is a plain method"),
    (NoReturn, "NoReturn.annotate: annotate what it returns"),
    (NoAnnotation, "NoAnnotation.annotate: annotate command with the message type it takes"),
    (BadAnnotation, "BadAnnotation.annotate: its annotations cannot be read: name 'Nowhere' is not defined"),
    (NoMessage, "NoMessage.annotate: str is no protobuf message, nor a union of them"),
    (OtherState, "OtherState.annotate: takes state Opened; OtherState's is Account"),
    (TooFew, "TooFew.annotate: takes 1 arguments; @handles takes (state, command[, context])"),
    (TooMany, "TooMany.annotate: takes 4 arguments; @handles takes (state, command[, context])"),
    (ApplierTooMany, "ApplierTooMany.stashed: takes 3 arguments; @applies takes (state, event)"),
    (OtherThird, "OtherThird.annotate: takes int as its third argument; that is the Context"),
    (Static, "Static.annotate: must be a plain method, which takes self"),
    (NeedsArguments, "NeedsArguments: cannot be made without arguments: "),
    (NoHandlers, "NoHandlers: has no method marked @handles"),
    (NoDomain, "NoDomain: domain is None; give it a name that matches [a-z][a-z0-9-]*"),
    (BadDomain, "BadDomain: domain is 'Bad Domain'; give it a name"),
    (NoState, "NoState: names no state; write class NoState(Aggregate[YourStateMessage])"),
    (WrongState, "WrongState: names no state"),
    ("accounts", "'accounts' is no Aggregate, CascadeCompensation, Saga, ProcessManager or Projector class"),
    (int, "<class 'int'> is no Aggregate, CascadeCompensation, Saga, ProcessManager or Projector class"),
]


@pytest.mark.parametrize(("component", "text"), TABLE, ids=lambda v: getattr(v, "__name__", None))
def test_each_mistake_is_named(component: Any, text: str) -> None:
    (only,) = mistakes(component)
    assert text in only


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes(*(component for component, _ in TABLE))
    assert len(found) == len(TABLE)
    for (_, text), mistake in zip(TABLE, found, strict=True):
        assert text in mistake


def test_two_aggregates_of_one_domain() -> None:
    class Other(Good):
        domain = "account"

    assert mistakes(Accounts, Other) == ["Other: domain 'account' is Accounts's already; keep one of them"]


# ---- what a topology tells


def test_lookups_name_what_there_is() -> None:
    topology = Topology(Good, Accounts)
    assert topology.aggregate("good").class_name == "Good"
    assert topology.domain_of(pb.Annotate) == "account"
    with pytest.raises(LookupError, match="unknown domain 'goods'; this topology has: good, account"):
        topology.aggregate("goods")
    with pytest.raises(LookupError, match=r"no aggregate handles bank\.v1\.Opened"):
        topology.domain_of(pb.Opened)
    with pytest.raises(LookupError, match=r"bank\.v1\.Open is handled by good, account; name the domain"):
        topology.domain_of(pb.Open)


def test_topics_with_their_settings() -> None:
    topics = {t.name: t for t in Topology(Good, Accounts).topics(Names("demo."), 6, "trial", ["account"])}
    assert list(topics) == [
        f"demo.trial.account.{kind}" for kind in ("commands", "facts", "inbox", "events", "snapshots", "dead-letters")
    ]
    assert {t.partitions for t in topics.values()} == {6}
    assert topics["demo.trial.account.events"].config == {
        "cleanup.policy": "compact",
        "message.timestamp.type": "CreateTime",
    }
    assert topics["demo.trial.account.commands"].config["retention.ms"] == str(7 * 24 * 3600 * 1000)
    with pytest.raises(LookupError):
        Topology(Good).topics(Names(), 1, components=["account"])


@pytest.mark.parametrize("draw", [Topology.text, Topology.mermaid])
def test_the_graph_shows_commands_and_topics(draw: Callable[[Topology, Names, str], str]) -> None:
    drawing = draw(Topology(Accounts), Names("demo."), "trial")
    for kind in ("commands", "events", "snapshots", "dead-letters"):
        assert f"demo.trial.account.{kind}" in drawing
    assert "demo.headrace.replies" in drawing
    assert "Accounts" in drawing


def test_the_text_says_what_each_command_may_lead_to() -> None:
    text = Topology(Accounts).text()
    assert "    bank.v1.Withdraw -> bank.v1.Withdrawn  [strict]" in text
    assert "    bank.v1.Touch -> nothing  [manual]" in text


def test_the_text_shows_sagas_and_process_managers_with_what_they_read_and_send() -> None:
    lines = poker.room.text().splitlines()
    cashier = lines[lines.index("cashier (saga Cashier; rejected: compensate)") :]
    assert cashier[1:5] == [
        "  reads   main.table.events",
        "    poker.v1.JoinRequested -> poker.v1.ReserveFunds",
        "    poker.v1.PlayerLeft -> poker.v1.SettleFunds",
        "  writes  main.cashier.dead-letters",
    ]
    course = lines[lines.index("course (process manager Course, state poker.v1.CourseState)") :]
    assert "  reads   main.hand.events" in course
    assert "    poker.v1.TurnOver -> poker.v1.Act, poker.v1.Award" in course[course.index("  time-outs") :]
    assert "    poker.v1.DepositConfirmed -> poker.v1.FundsDeposited  [fact]" in lines
    assert "    poker.v1.TakeBet -> poker.v1.BetReverted  [rejected]" in lines


def test_the_flowchart_shows_the_way_through_a_saga() -> None:
    lines = [line.strip() for line in poker.room.mermaid().splitlines()]
    assert "cashier{{Cashier}}" in lines
    assert "table_events --> cashier" in lines
    assert "cashier --> player_commands" in lines
    assert "hand_events --> course" in lines
    assert "course --> hand_commands" in lines
    assert not any("feed" in line for line in lines)
