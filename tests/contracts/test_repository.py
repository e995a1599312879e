"""Policy over the repository: nothing without a model, no type without examples, no topic without its types."""

from __future__ import annotations

from collections import defaultdict

import pytest

from schemas.catalog import CATALOG, EDGE_TYPES
from schemas.topics import topics_file
from tests.contracts.samples import EXAMPLES, INVALID, POLICY, SCHEMAS

NAMES = {*CATALOG, POLICY}


def test_there_is_no_directory_without_a_model() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == NAMES
    assert {path.name for path in INVALID.iterdir()} == NAMES
    assert {path.stem for path in (SCHEMAS / "json").iterdir()} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_type_has_examples_of_both_kinds(name: str) -> None:
    suffix = ".yaml" if name == POLICY else ".json"
    valid, invalid = list((EXAMPLES / name).iterdir()), list((INVALID / name).iterdir())
    assert {path.suffix for path in [*valid, *invalid]} == {suffix}
    assert len(valid) >= 1
    assert len(invalid) >= 2


def test_versions_run_from_one_without_a_gap() -> None:
    versions = defaultdict(list)
    for event_type in CATALOG.values():
        versions[event_type.family].append(event_type.version)
    for family, found in versions.items():
        assert sorted(found) == list(range(1, len(found) + 1)), family


def test_every_type_travels_on_the_topic_that_lists_it() -> None:
    listed = {(name, topic) for topic, spec in topics_file().topics.items() for name in spec.events}
    assert listed == {(event_type.name, event_type.topic) for event_type in CATALOG.values()}


@pytest.mark.parametrize("name", CATALOG)
def test_who_produces_a_type_may_write_its_topic(name: str) -> None:
    event_type = CATALOG[name]
    assert event_type.producers
    assert set(event_type.producers) <= set(topics_file().topics[event_type.topic].producers)


def test_every_producer_of_an_event_topic_has_something_to_say() -> None:
    for topic, spec in topics_file().topics.items():
        writers = {
            writer for event_type in CATALOG.values() if event_type.topic == topic for writer in event_type.producers
        }
        assert not spec.events or writers == set(spec.producers), topic


def test_topics_are_logs_or_changelogs() -> None:
    for topic, spec in topics_file().topics.items():
        assert spec.config["message.timestamp.type"] == "LogAppendTime", topic
        assert spec.config["cleanup.policy"] == ("delete" if spec.events else "compact"), topic
    assert topics_file().topics["ledger"].config["retention.ms"] == "-1", "the source of truth is kept"


def test_edges_may_only_send_types_of_the_ledger() -> None:
    assert {CATALOG[name].topic for name in EDGE_TYPES} == {"ledger"}
