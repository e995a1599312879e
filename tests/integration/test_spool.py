"""The spool keeps what was acknowledged, in order, through `kill -9` and full disks."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.adapters.spool import Spool, SpoolError, SpoolFull

PLENTY = 1 << 30
TOPICS = st.sampled_from(["ledger", "rejected"])
WRITER = """
import sys
from pathlib import Path
from services.adapters.spool import Spool
spool = Spool.open(Path(sys.argv[1]), max_bytes=1 << 30)
for number in range(1_000_000):
    spool.append("ledger", number % 3, 1, b"[%d]" % number)
    print(number, flush=True)
"""


def drain(spool: Spool, topic: str, partition: int, *, max_events: int = 10, max_bytes: int = 100) -> list[bytes]:
    """Everything of a partition, taken and removed in bounded bites."""
    found: list[bytes] = []
    while bite := spool.oldest(topic, partition, max_events=max_events, max_bytes=max_bytes):
        found += [record.value for record in bite]
        spool.remove(topic, partition, bite)
    return found


@given(
    st.lists(
        st.tuples(st.sampled_from(["ledger", "rejected"]), st.integers(0, 2), st.binary(max_size=40)), max_size=60
    ),
    st.integers(1, 20),
    st.integers(1, 200),
)
def test_each_partition_comes_out_as_it_went_in(
    records: list[tuple[str, int, bytes]], max_events: int, max_bytes: int
) -> None:
    with TemporaryDirectory() as folder:
        spool = Spool.open(Path(folder) / "spool.sqlite", max_bytes=PLENTY)
        for topic, partition, value in records:
            spool.append(topic, partition, 1, value)
        spool.close()
        spool = Spool.open(Path(folder) / "spool.sqlite", max_bytes=PLENTY)
        assert (spool.events, spool.bytes) == (len(records), sum(len(value) for _, _, value in records))
        for topic, partition in itertools.product(["ledger", "rejected"], range(3)):
            expected = [value for t, p, value in records if (t, p) == (topic, partition)]
            assert drain(spool, topic, partition, max_events=max_events, max_bytes=max_bytes) == expected
        assert (spool.events, spool.bytes, spool.waiting()) == (0, 0, {})
        spool.close()


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 50)), min_size=1, max_size=30))
def test_a_bite_respects_its_bounds_unless_one_record_alone_breaks_them(sizes: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder:
        spool = Spool.open(Path(folder) / "spool.sqlite", max_bytes=PLENTY)
        for events, size in sizes:
            spool.append("ledger", 0, events, bytes(size))
        bite = spool.oldest("ledger", 0, max_events=10, max_bytes=60)
        spool.close()
    assert bite
    fits = sum(record.events for record in bite) <= 10 and sum(len(record.value) for record in bite) <= 60
    assert fits or len(bite) == 1


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool.sqlite", max_bytes=100)
    spool.append("ledger", 0, 1, bytes(60))
    with pytest.raises(SpoolFull, match="60 of at most 100 bytes"):
        spool.append("ledger", 0, 1, bytes(41))
    spool.append("ledger", 0, 1, bytes(40))
    assert [len(value) for value in drain(spool, "ledger", 0)] == [60, 40]
    spool.append("ledger", 0, 1, bytes(100))
    spool.close()


def test_a_full_disk_refuses_like_a_full_spool(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool.sqlite", max_bytes=PLENTY)
    spool._db.execute("PRAGMA max_page_count = 64")
    kept = 0
    with pytest.raises(SpoolFull, match="disk"):
        for _ in range(1000):
            spool.append("ledger", 0, 1, bytes(4000))
            kept += 1
    assert kept
    assert (spool.events, spool.bytes) == (kept, 4000 * kept)
    assert len(drain(spool, "ledger", 0)) == kept
    spool.close()


def test_two_processes_cannot_share_a_spool(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool.sqlite", max_bytes=PLENTY)
    with pytest.raises(SpoolError, match="SPENDGATE_DATA_DIR"):
        Spool.open(tmp_path / "spool.sqlite", max_bytes=PLENTY)
    spool.close()


def test_a_file_that_is_no_spool_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(SpoolError, match="cannot be opened"):
        Spool.open(tmp_path / "spool.sqlite", max_bytes=PLENTY)


def test_an_empty_spool_gives_the_disk_its_room_back(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool.sqlite", max_bytes=PLENTY)
    for _ in range(500):
        spool.append("ledger", 0, 1, bytes(10_000))
    drain(spool, "ledger", 0, max_events=100, max_bytes=PLENTY)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 200_000
    spool.close()


def test_removing_twice_counts_once(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool.sqlite", max_bytes=PLENTY)
    for number in range(3):
        spool.append("ledger", 0, 2, b"[%d,0]" % number)
    bite = spool.oldest("ledger", 0, max_events=4, max_bytes=PLENTY)
    for _ in range(2):
        spool.remove("ledger", 0, bite)
        assert (spool.events, spool.bytes) == (2, 5)
    spool.close()


def test_what_is_put_aside_waits_no_longer_and_is_kept_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    spool = Spool.open(path, max_bytes=PLENTY)
    for number in range(3):
        spool.append("ledger", 0, 1, b"[%d]" % number)
    _, second, _ = spool.oldest("ledger", 0, max_events=10, max_bytes=PLENTY)
    for _ in range(2):
        spool.set_aside(second, "too large")
        assert (spool.events, spool.bytes, spool.waiting(), spool.aside) == (2, 6, {("ledger", 0): 2}, 1)
    assert drain(spool, "ledger", 0) == [b"[0]", b"[2]"]
    spool.close()
    spool = Spool.open(path, max_bytes=PLENTY)
    kept = spool._db.execute("SELECT topic, partition, events, value, reason FROM aside").fetchall()
    assert (kept, spool.aside) == ([("ledger", 0, 1, b"[1]", "too large")], 1)
    spool.close()


def test_room_that_cannot_be_given_back_yet_does_not_undo_a_removal(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool.sqlite", max_bytes=PLENTY)
    for _ in range(2):
        spool.append("ledger", 0, 1, b"[0]")
    reading = spool._db.execute("SELECT id FROM record")  # a statement under way keeps the log from being cut off
    reading.fetchone()
    spool.remove("ledger", 0, spool.oldest("ledger", 0, max_events=10, max_bytes=PLENTY))
    assert (spool.events, spool.bytes, spool.waiting()) == (0, 0, {})
    spool.close()


@pytest.mark.parametrize("acknowledged_min", [1, 40, 300])
async def test_kill_9_right_after_an_acknowledgement_loses_nothing(tmp_path: Path, acknowledged_min: int) -> None:
    path = tmp_path / "spool.sqlite"
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    acknowledged = 0
    while acknowledged < acknowledged_min:
        acknowledged = int(await writer.stdout.readline()) + 1
    writer.send_signal(signal.SIGKILL)
    rest = await writer.stdout.read()
    await writer.wait()
    acknowledged += rest.count(b"\n")
    spool = Spool.open(path, max_bytes=PLENTY)
    assert spool.events in (acknowledged, acknowledged + 1)
    for partition in range(3):
        numbers = [int(value.strip(b"[]")) for value in drain(spool, "ledger", partition)]
        assert numbers == list(range(partition, partition + 3 * len(numbers), 3))
    spool.close()
