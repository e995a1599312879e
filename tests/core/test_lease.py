"""Leases: an enforcer spends its shares only while the ledger has heard of it lately."""

from __future__ import annotations

from services.enforcer.lease import Leases

TTL_MS = 60_000


def test_nothing_may_be_spent_before_the_ledger_answers() -> None:
    leases = Leases(TTL_MS)
    leases.next_beat(0, 1_000)
    assert leases.is_new(0)
    assert not leases.is_fresh(0, 1_000)
    assert leases.age_ms(0, 1_000) is None


def test_a_lease_runs_from_when_the_beat_was_sent_not_from_when_it_was_answered() -> None:
    leases = Leases(TTL_MS)
    leases.heard(0, leases.next_beat(0, 1_000))
    assert leases.age_ms(0, 31_000) == 30_000
    assert leases.is_fresh(0, 1_000 + TTL_MS)
    assert not leases.is_fresh(0, 1_001 + TTL_MS)


def test_an_answer_stands_for_all_beats_before_it_and_for_none_after() -> None:
    leases = Leases(TTL_MS)
    beats = [leases.next_beat(0, at_ms) for at_ms in (1_000, 2_000, 3_000)]
    leases.heard(0, beats[1])
    assert leases.age_ms(0, 3_000) == 1_000
    leases.heard(0, beats[0])
    assert leases.age_ms(0, 3_000) == 1_000
    leases.heard(0, beats[2])
    assert leases.age_ms(0, 3_000) == 0


def test_partitions_have_leases_of_their_own_and_share_the_count_of_beats() -> None:
    leases = Leases(TTL_MS)
    assert [leases.next_beat(partition, 0) for partition in (0, 1, 0)] == [1, 2, 3]
    leases.heard(1, 2)
    assert leases.is_fresh(1, 0)
    assert leases.is_new(0)


def test_who_starts_over_has_no_lease() -> None:
    leases = Leases(TTL_MS)
    leases.heard(0, leases.next_beat(0, 0))
    leases.start_over()
    assert leases.is_new(0)
    assert leases.next_beat(0, 0) == 1
