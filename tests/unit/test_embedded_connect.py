"""What the Connect worker is told. No worker here."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.embedded import BrokerFailed, EmbeddedConnect
from headrace.embedded.connect import healthy, worker_settings


def test_nothing_listens_beyond_this_machine() -> None:
    settings = worker_settings("b:1", 8083, "g", [])
    assert settings["listeners"] == "http://127.0.0.1:8083"
    assert settings["rest.advertised.host.name"] == "127.0.0.1"


def test_workers_of_one_group_share_topics_and_others_do_not() -> None:
    one, other = worker_settings("b:1", 1, "one", []), worker_settings("b:1", 1, "other", [])
    names = ["group.id", "config.storage.topic", "offset.storage.topic", "status.storage.topic"]
    assert len({settings[name] for settings in (one, other) for name in names}) == 8
    assert [one[name] for name in names] == [worker_settings("b:1", 2, "one", [])[name] for name in names]


def test_plugins_are_named_by_their_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert worker_settings("b:1", 1, "g", [Path("a"), Path("/b")])["plugin.path"] == f"{tmp_path.resolve()}/a,/b"
    assert "plugin.path" not in worker_settings("b:1", 1, "g", [])


def test_what_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="give it a folder"):
        EmbeddedConnect("b:1", detached=True)
    with pytest.raises(BrokerFailed, match="does not run"):
        _ = EmbeddedConnect("b:1").data_dir
    assert not healthy("http://127.0.0.1:1")
