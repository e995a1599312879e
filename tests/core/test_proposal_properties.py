"""Governance under Hypothesis: no single person changes a limit, restarts change nothing, organizations stay apart."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregator.changelog import encode
from services.aggregator.image import Image, compare
from services.core.apply_proposal import OPEN_FOR_MS
from services.core.effects import Effects
from services.core.fold import fold
from services.core.money import parse_usd
from services.core.record import Record
from tests.core.ledger import NOON_MS, Changelog, Json, budget, event, new_state, record

PEOPLE = ("ada", "bob", "cyd")
MOST_ALONE = "5"
ORGANIZATIONS = ("acme", "globex")
UNTIL = "2027-12-01T00:00:00Z"
RULES = {"review": "required", "boosts_above_usd": MOST_ALONE}

people = st.sampled_from(PEOPLE)
organizations = st.sampled_from(ORGANIZATIONS)
names = st.sampled_from(["prop-1", "prop-2", "prop-3"])
versions = st.integers(1, 7)
limits = st.integers(1, 90).map(str)


@st.composite
def written(draw: st.DrawFn, *, governed: bool) -> Json:
    """A policy of an organization; `governed`: none that would drop the review."""
    organization = draw(organizations)
    rules = RULES if governed else draw(st.sampled_from([RULES, {}]))
    return {"organization": organization, "budgets": [budget("all", draw(limits))], "governance": rules}


@st.composite
def said(draw: st.DrawFn, *, governed: bool) -> Json:
    """Anything that somebody with a key of their own may say about a policy."""
    by, serial = draw(people), draw(st.integers(0, 30))
    who = {"by": by, "key_id": f"k-{by}"}
    kind = draw(st.sampled_from(["policy.changed", "policy.proposed", "boost.granted", "boost.requested", "reviewed"]))
    if kind == "reviewed":
        verdict = draw(st.sampled_from(["approve", "approve", "reject"]))
        data: Json = {"organization": draw(organizations), "proposal": draw(names), "verdict": verdict, **who}
        return event("proposal.reviewed", data, event_id=f"{kind}-{serial}", source=by)
    if kind.startswith("policy"):
        policy = draw(written(governed=governed))
        data = {"organization": policy["organization"], "version": draw(versions), "policy": policy, **who}
    else:
        usd = draw(st.sampled_from(["-3", "2", "3", "5", "50"]))
        data = {"organization": draw(organizations), "budget": "all", "amount_usd": usd, "until": UNTIL, **who}
    if kind in ("policy.proposed", "boost.requested"):
        data["proposal"] = draw(names)
    return event(kind, data, event_id=f"{kind}-{serial}", source=by)


@st.composite
def ledgers(draw: st.DrawFn, *, governed: bool = False) -> list[Record]:
    """Records of what was said, at times that now and then jump beyond the life of a proposal."""
    at_ms, records = NOON_MS, []
    for offset in range(draw(st.integers(1, 25))):
        at_ms += draw(st.sampled_from([0, 1_000, OPEN_FOR_MS // 2]))
        records.append(record(offset, *draw(st.lists(said(governed=governed), max_size=3)), at_ms=at_ms))
    return records


def said_by(event: Json) -> tuple[str, str]:
    return event["data"]["organization"], event["data"]["by"]


@given(ledgers(governed=True))
@settings(max_examples=300)
def test_no_limit_is_what_one_person_alone_wanted(records: list[Record]) -> None:
    """By a second reading of the ledger: somebody proposed exactly this, and somebody else approved it after that."""
    state = new_state()
    for each in records:
        first = {name: state.organization(name).entry is None for name in ORGANIZATIONS}
        effects = fold(state, each)
        for name, entry in effects.policies.items():
            if entry.approved_by is None:
                # Not reviewed: only the very first policy of the organization may be so.
                assert first[name] or entry.version == before(records, each, name)
                continue
            assert entry.approved_by != entry.by
            heard = [event for earlier in up_to(records, each) for event in earlier]
            wanted = [e for e in heard if e["type"].endswith("policy.proposed.v1") and said_by(e) == (name, entry.by)]
            assert any(e["data"]["policy"] == entry.policy and e["data"]["version"] == entry.version for e in wanted)
            agreed = [e for e in heard if e["data"].get("verdict") == "approve"]
            assert (name, entry.approved_by) in map(said_by, agreed)


def up_to(records: list[Record], last: Record) -> list[list[Json]]:
    return [msgspec.json.decode(each.value) for each in records if each.offset <= last.offset]


def before(records: list[Record], last: Record, organization: str) -> int:
    """The version that was in force before a record."""
    state = new_state()
    for each in records:
        if each.offset < last.offset:
            fold(state, each)
    entry = state.organization(organization).entry
    return 0 if entry is None else entry.version


@given(ledgers(governed=True))
@settings(max_examples=200)
def test_no_boost_above_the_threshold_is_one_persons(records: list[Record]) -> None:
    state = new_state()
    for each in records:
        fold(state, each)
        for name in ORGANIZATIONS:
            entry = state.organization(name).entry
            boosts = () if entry is None else entry.boosts
            alone = [boost for boost in boosts if boost.approved_by is None]
            assert sum(max(0, parse_usd(boost.amount_usd)) for boost in alone) <= parse_usd(MOST_ALONE)
            assert all(boost.approved_by != boost.by for boost in boosts)


@given(ledgers(), st.data())
@settings(max_examples=150)
def test_restarts_and_replays_give_the_same_entries_and_audit_log(records: list[Record], data: st.DataObject) -> None:
    steady, restarted = Image(), Image()
    state, reborn, log = new_state(), new_state(), Changelog()
    for each in records:
        steady.write_all(encode(fold(state, each)))
        if data.draw(st.booleans()):
            reborn = log.restore()
        effects = fold(reborn, each)
        log.write(effects)
        restarted.write_all(encode(effects))
    assert list(compare(0, steady, restarted)) == []
    together = Effects()
    state = new_state()
    for each in records:
        together.absorb(fold(state, each))
    replayed = Image()
    replayed.write_all(encode(together))
    assert replayed.tables["audit"] == steady.tables["audit"]
    assert len(steady.tables["audit"]) == len(together.audit), "every entry has a name of its own"


@given(ledgers(), organizations)
@settings(max_examples=150)
def test_what_others_say_changes_nothing_for_an_organization(records: list[Record], name: str) -> None:
    whole, alone = new_state(), new_state()
    told: list[list[Any]] = [[], []]
    for each in records:
        own = [e for e in msgspec.json.decode(each.value) if e["data"]["organization"] == name]
        reduced = Record(each.partition, each.offset, each.appended_at_ms, msgspec.json.encode(own))
        for state, record_, kept in ((whole, each, told[0]), (alone, reduced, told[1])):
            audit = [entry for entry in fold(state, record_).audit if entry.organization == name]
            kept += [(entry.action, entry.subject, entry.by, entry.before, entry.after) for entry in audit]
    assert msgspec.json.encode(whole.organization(name).entry) == msgspec.json.encode(alone.organization(name).entry)
    assert told[0] == told[1]
