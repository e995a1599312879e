"""Prophet as a voice: real fits, in this process and in others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

import numpy as np

from services.adapters.prophet_voice import ProphetVoice, usable
from services.core.forecast import DailySeries, project

FIRST = date(2026, 6, 1)
USD = 1_000_000_000
WEEK = np.array([100, 110, 110, 105, 95, 30, 20], dtype=np.int64) * USD
RUN = """\
from tests.adapters.test_prophet_voice import series_of_two_kinds
from services.adapters.prophet_voice import ProphetVoice
if __name__ == "__main__":
    series = series_of_two_kinds()
    assert (ProphetVoice(processes=2).paths(series, 3) == ProphetVoice().paths(series, 3)).all()
    print("equal")
"""


def daily(amounts: np.ndarray[tuple[int, ...], np.dtype[np.int64]], scope: str = "org:acme") -> DailySeries:
    return DailySeries(scope, FIRST, amounts)


def series_of_two_kinds() -> list[DailySeries]:
    """Weekdays, and a level that falls."""
    return [daily(np.resize(WEEK, 70)), daily(np.linspace(90, 1, 60).astype(np.int64) * USD)]


def test_prophet_follows_the_week_and_never_goes_below_zero() -> None:
    weekly, falling = ProphetVoice().paths(series_of_two_kinds(), 14)
    assert np.allclose(weekly, np.resize(WEEK, 14), rtol=0.15, atol=5 * USD)
    assert (falling >= 0).all()
    assert falling.max() < 30 * USD


def test_prophet_is_not_asked_about_what_it_cannot_tell() -> None:
    rare = np.zeros(100, dtype=np.int64)
    rare[::10] = USD
    little = [daily(np.resize(WEEK, 13)), daily(rare), daily(np.zeros(50, dtype=np.int64)), daily(WEEK[:0])]
    assert all(usable(each) is None for each in little)
    assert np.isnan(ProphetVoice(processes=2).paths(little, 5)).all()


def test_a_forecast_names_prophet_where_it_was_heard() -> None:
    series = [daily(np.resize(WEEK, 70)), daily(WEEK[:3], "org:other")]
    begin, end, as_of = date(2026, 8, 1), date(2026, 9, 1), date(2026, 8, 10)
    known, young = project(series, begin=begin, end=end, as_of=as_of, voices=[ProphetVoice()])
    assert known.models[-1] == "prophet"
    assert "prophet" not in young.models


def test_processes_say_the_same_print_nothing_and_leave_no_files(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(("", *sys.path))}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("equal\n", "", 0)
    assert not [path for path in scratch.rglob("*") if path.is_file()]


ENDLESS = """\
from datetime import date
import numpy as np
from services.adapters.prophet_voice import ProphetVoice
from services.core.forecast import DailySeries
days = np.arange(1, 121) * 1_000_000_000
while True:
    ProphetVoice(2).paths([DailySeries(f"org:o/user:{n}", date(2026, 1, 1), days) for n in range(400)], 30)
"""


def workers_of(parent: int) -> set[int]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            text = status.read_text()
            if int(text.rpartition(")")[2].split()[1]) == parent and b"spawn_main" in (
                status.with_name("cmdline").read_bytes()
            ):
                found.add(int(status.parent.name))
    return found


def test_fits_end_with_the_process_that_asked_for_them_however_it_ends() -> None:
    asking = subprocess.Popen([sys.executable, "-c", ENDLESS])
    try:
        while len(workers := workers_of(asking.pid)) < 2:
            assert asking.poll() is None
            time.sleep(0.05)
    finally:
        asking.kill()
        asking.wait()
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        time.sleep(0.05)
