"""An import of a name that has moved says where it went, and it is there."""

import importlib

import pytest

from headrace import moved


@pytest.mark.parametrize("old", moved.MODULES)
def test_a_module_that_has_moved(old: str) -> None:
    importlib.import_module(moved.MODULES[old])
    with pytest.raises(ModuleNotFoundError, match=f"{old} has moved; it is {moved.MODULES[old]} now"):
        importlib.import_module(old)


@pytest.mark.parametrize("old", moved.NAMES)
def test_a_name_that_has_moved(old: str) -> None:
    module, _, name = moved.NAMES[old].rpartition(".")
    assert hasattr(importlib.import_module(module), name)
    with pytest.raises(ImportError, match=f"{old} has moved; it is {moved.NAMES[old]} now"):
        exec(f"from headrace.topology import {old}")


def test_a_name_that_never_was() -> None:
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from headrace.topology import nonsense")
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'headrace\.nonsense'"):
        importlib.import_module("headrace.nonsense")
