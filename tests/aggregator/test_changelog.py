"""How effects become messages: the order, the sizes, and what a reader gets back."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.aggregator.changelog import MAX_EVENTS, chunks, encode
from services.aggregator.image import Image, compare
from services.core.effects import POSITION_KEY, Effects
from services.core.fold import fold
from services.core.outcomes import AlertRaised, AuditRecorded, ChargePosted, UsageRejected
from tests.core.ledger import budget, costing, new_state, policy, record, run, usage


def test_the_position_is_the_last_record_of_its_transaction() -> None:
    _, effects = run([record(0, costing("1.50", user="ada"))])
    balances = encode(effects)["balances"]
    assert len(balances) == 7
    assert balances[-1] == (POSITION_KEY.encode(), msgspec.json.encode(effects.position))


def test_a_record_without_effects_still_moves_the_position() -> None:
    _, effects = run([record(0)])
    assert list(encode(effects)) == ["balances"]
    assert [key for key, _ in encode(effects)["balances"]] == [POSITION_KEY.encode()]


def test_effects_without_a_position_are_a_defect() -> None:
    with pytest.raises(AssertionError):
        encode(Effects())


def test_every_output_reaches_its_topic_as_cloud_events() -> None:
    _, effects = run(
        [record(0, policy(budget("all", "10"))), record(1, costing("9.50"), usage("e2", input_tokens=-1), usage("e3"))]
    )
    messages = encode(effects)
    charges = msgspec.json.decode(messages["charges"][0][1] or b"", type=list[ChargePosted])
    alerts = msgspec.json.decode(messages["alerts"][0][1] or b"", type=list[AlertRaised])
    rejected = msgspec.json.decode(messages["rejected"][0][1] or b"", type=list[UsageRejected])
    assert [event.data for event in charges] == effects.charges
    assert [event.data for event in alerts] == effects.alerts
    assert [event.data for event in rejected] == effects.rejections
    assert [event.id for event in rejected] == ["0-1-1"]
    assert {key for key, _ in messages["policies"]} == {b"acme"}
    assert [key for key, _ in messages["seen"]] == [b"0", b"1"]


def test_who_changed_what_reaches_the_audit_log() -> None:
    _, effects = run([record(0, policy(budget("all", "10"))), record(1, policy(budget("all", "12.50"), version=2))])
    (message,) = encode(effects)["audit"]
    found = msgspec.json.decode(message[1] or b"", type=list[AuditRecorded])
    assert [event.data for event in found] == effects.audit
    assert [event.id for event in found] == ["0-0-0-0", "0-1-0-0"]
    assert json.loads(found[1].data.before) == {"version": 1, "limits": {"all": "10.00"}}
    assert json.loads(found[1].data.after) == {"version": 2, "raised": {"all": "2.50"}}


def test_replaying_gives_the_same_audit_entries_and_one_that_was_tampered_with_shows() -> None:
    records = [record(n, policy(budget("all", str(n + 1)), version=n + 1)) for n in range(3)]
    recorded, replayed = Image(), Image()
    state = new_state()
    for each in records:
        recorded.write_all(encode(fold(state, each)))
    _, effects = run(records)
    replayed.write_all(encode(effects))
    assert list(compare(0, recorded, replayed)) == []
    key = b"0-2-0-0"
    recorded.write("audit", key, recorded.tables["audit"][key].replace(b"ada", b"eve"))
    (difference,) = compare(0, recorded, replayed)
    assert (difference.table, difference.key) == ("audit", "0-2-0-0")


def test_many_charges_are_cut_into_records() -> None:
    _, effects = run([record(0, *(costing("1", f"e{n}") for n in range(2 * MAX_EVENTS + 1)))])
    sizes = [len(msgspec.json.decode(value or b"")) for _, value in encode(effects)["charges"]]
    assert sizes == [MAX_EVENTS, MAX_EVENTS, 1]


@given(st.lists(st.binary(max_size=40)), st.integers(1, 5), st.integers(1, 60))
def test_chunks_keep_everything_in_order_and_stay_small(events: list[bytes], most: int, size: int) -> None:
    found = list(chunks(events, max_events=most, max_bytes=size))
    assert [event for chunk in found for event in chunk] == events
    assert all(chunk for chunk in found)
    assert all(len(chunk) <= most for chunk in found)
    assert all(len(chunk) == 1 or sum(map(len, chunk)) + len(chunk) - 1 <= size for chunk in found)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(1, 5))
def test_how_records_are_grouped_into_transactions_changes_nothing(sizes: list[int], group: int) -> None:
    records = [
        record(offset, *(costing("0.25", f"e{offset}-{n}", user=f"u{n}") for n in range(size)))
        for offset, size in enumerate(sizes)
    ]
    one_by_one, grouped = Image(), Image()
    state = new_state()
    for each in records:
        one_by_one.write_all(encode(fold(state, each)))
    state = new_state()
    for start in range(0, len(records), group):
        _, effects = run(records[start : start + group], state)
        grouped.write_all(encode(effects))
    assert list(compare(0, one_by_one, grouped)) == []
    assert one_by_one.position == len(records) - 1


def test_a_difference_is_told_with_both_sides() -> None:
    recorded, replayed = Image(), Image()
    recorded.write("balances", b"org:acme@total", b"1")
    replayed.write("balances", b"org:acme@total", b"2")
    replayed.write("seen", b"7", b"{}")
    assert [str(difference) for difference in compare(3, recorded, replayed)] == [
        "partition 3, balances org:acme@total: recorded 1, replayed 2",
        "partition 3, seen 7: recorded nothing, replayed {}",
    ]
