"""Secrets are references: a literal one is refused, and what could be one is never shown."""

from pathlib import Path
from typing import Any

import pytest

from headrace import Iceberg, Jdbc, Names, Search, Sinks, Snowflake
from headrace.connectors.connect import references
from headrace.connectors.connect.references import MASK, Unresolved, is_reference, is_secret, resolved, shown
from headrace.connectors.sinks import SinkMistake
from tests.support.sink_cards import PlayerCards

LITERAL = "hunter2-literal"


@pytest.mark.parametrize(
    "sink",
    [
        Search(PlayerCards, user="u", password=LITERAL),
        Search(PlayerCards, api_key=LITERAL),
        Search(PlayerCards, url=f"https://u:{LITERAL}@search"),
        Search(PlayerCards, url=f"https://{LITERAL}@search"),
        Jdbc(PlayerCards, password=LITERAL),
        Jdbc(PlayerCards, password=f"${{env:A}}{LITERAL}"),
        Jdbc(PlayerCards, url=f"jdbc:postgresql://db/cards?password={LITERAL}"),
        Snowflake(PlayerCards, private_key=LITERAL),
        Snowflake(PlayerCards, passphrase=LITERAL),
        Iceberg(PlayerCards, "a.b", {"token": LITERAL}),
        Iceberg(PlayerCards, "a.b", {"s3.secret-access-key": LITERAL}),
        Jdbc(PlayerCards, settings={"consumer.override.ssl.keystore.password": LITERAL}),
        Jdbc(PlayerCards, settings={"consumer.override.sasl.jaas.config": f'X required password="{LITERAL}";'}),
    ],
    ids=range(13),
)
def test_a_literal_secret_is_refused_with_what_to_write_and_not_repeated(sink: Any) -> None:
    with pytest.raises(SinkMistake) as caught:
        Sinks(sink).render(Names(), "main")
    assert "${env:" in str(caught.value)
    assert LITERAL not in str(caught.value)


def test_references_are_fine_everywhere() -> None:
    jaas = 'Plain required username="u" password="${file:/run/kafka.properties:password}";'
    Sinks(
        Search(PlayerCards, user="u", password="${file:/run/secrets.properties:search}"),  # noqa: S106
        Jdbc(PlayerCards, settings={"consumer.override.sasl.jaas.config": jaas}),
    ).render(Names(), "main")


def test_what_a_reference_is() -> None:
    assert is_reference("${env:A}")
    assert is_reference("${file:/a/b:c}${env:B}")
    for text in ("", "a", "${env:A}b", "$A", "${A}"):
        assert not is_reference(text)


def test_names_of_secrets() -> None:
    for name in (
        "connection.password",
        "snowflake.private.key",
        "api.key",
        "x.oauth.client.secret",
        "a.sasl.jaas.config",
    ):
        assert is_secret(name)
    for name in ("key.converter", "primary.key.fields", "connection.url", "key.ignore", "topics"):
        assert not is_secret(name)


def test_values_that_could_be_secrets_are_masked() -> None:
    assert shown("connection.password", LITERAL) == MASK
    assert shown("connection.password", "${env:A}") == "${env:A}"
    assert shown("user", LITERAL, secret=True) == MASK
    assert shown("url", f"https://u:{LITERAL}@search") == MASK
    assert shown("url", f"jdbc:postgresql://db/cards?user=u&password={LITERAL}") == MASK
    assert shown("url", "https://search:9200/?a=b") == "https://search:9200/?a=b"
    assert shown("tasks.max", "3") == "3"
    assert shown("url", "http://[bad") == "http://[bad"


def test_references_are_resolved_from_variables_and_files(tmp_path: Path) -> None:
    file = tmp_path / "search.properties"
    file.write_text("# a=1\nurl = http://search\n")
    assert resolved("${env:A}/${env:B}", {"A": "1", "B": "2"}) == "1/2"
    assert resolved(f"${{file:{file}:url}}", {}) == "http://search"
    assert resolved("plain", {}) == "plain"
    for unknown in ("${env:C}", f"${{file:{file}:a}}", f"${{file:{tmp_path}/none:url}}", "${vault:x}"):
        with pytest.raises(Unresolved) as caught:
            resolved(unknown, {})
        assert unknown in str(caught.value)


def test_the_check_is_by_value_as_well_as_by_name() -> None:
    references.check("X", "url", "https://${env:USER}:${env:PASSWORD}@search")
    with pytest.raises(references.SecretInPlain, match="url holds a user or a password"):
        references.check("X", "url", "https://a:b@search")
