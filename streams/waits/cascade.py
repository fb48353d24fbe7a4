"""Whether all that one command leads to is handled, and what the caller is told of it."""

from collections.abc import Collection
from dataclasses import replace

from headrace.schemas.headrace_v1_pb2 import Handled
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.streams.waits.cascade_tree import CascadeTree
from headrace.topology.cascades import COMPENSATION
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.reply import Failure, OnError, Reply
from headrace.topology.reply_errors import CascadeFailed, CascadeUnknown
from headrace.topology.topology import Topology


class CascadeWait:
    """Takes the reports on one command."""

    def __init__(self, topology: Topology, projectors: Collection[ProjectorSpec], on_error: OnError) -> None:
        self._tree, self._on_error = CascadeTree(topology, projectors), on_error
        self._undone = False

    def take(self, handled: Handled) -> None:
        """Count a report."""
        if handled.component == COMPENSATION:
            self._undone = True
        else:
            self._tree.take(handled)

    def result(self, reply: Reply, seconds: float) -> Reply:
        """The reply with all failures. Raises CascadeFailed if there are any and the caller does not want to continue.

        Raises CascadeUnknown if something is missing, after `seconds`.
        """
        reply = replace(reply, failures=tuple(map(failure, self._tree.failures)))
        if not self.done:
            raise CascadeUnknown(reply, self._tree.missing or [COMPENSATION], seconds)
        if reply.failures and self._on_error in ("fail-fast", "compensate"):
            raise CascadeFailed(reply)
        return reply

    @property
    def done(self) -> bool:
        """Whether nothing is missing or, with `fail-fast`, something has failed."""
        if self._tree.failures and self._on_error == "fail-fast":
            return True
        if self._tree.failures and self._on_error == "compensate" and not self._undone:
            return False
        return self._tree.complete


def failure(handled: Handled) -> Failure:
    """A report of something that failed, as the caller sees it."""
    return Failure(
        component=handled.component,
        root=handled.root,
        type=handled.type,
        reason=handled.reason,
        code=handled.code,
        rejected=handled.status == WireReply.REJECTED,
    )
