"""A domain author writes little: the example's aggregates and sagas are as short as is promised."""

import ast
import inspect
from typing import Any, TypeGuard

import pytest

from headrace.examples import poker
from headrace.examples.poker import sagas
from headrace.examples.poker.course import Course


def is_text(node: ast.AST) -> TypeGuard[ast.Expr]:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_rule(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and all(isinstance(one, ast.Raise) for one in node.body) and not node.orelse


def lines(component: type[Any], *, rules: bool = True) -> int:
    """Lines of code of a class: no blank ones, no docstrings, no comments; without `rules`, no checks that reject."""
    source = inspect.getsource(component)
    (tree,) = ast.parse(source).body
    texts = {
        number
        for node in ast.walk(tree)
        if is_text(node) or (not rules and is_rule(node))
        for number in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    return sum(
        1
        for number, line in enumerate(source.splitlines(), 1)
        if number not in texts and line.strip() and not line.strip().startswith("#")
    )


@pytest.mark.parametrize("saga", [sagas.Cashier, sagas.Usher, sagas.Dealer, sagas.Croupier])
def test_a_saga_has_twenty_lines_at_most(saga: type[Any]) -> None:
    assert lines(saga) <= 20


@pytest.mark.parametrize(("component", "most"), [(poker.Player, 60), (poker.Hand, 60), (Course, 60), (poker.Table, 80)])
def test_an_aggregate_has_about_fifty_beyond_its_rules(component: type[Any], most: int) -> None:
    """The table has more, for it holds money of others and compensates in several ways."""
    assert lines(component, rules=False) <= most
