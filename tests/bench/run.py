"""`make bench`: runs every `bench_*.py` in a process of its own, prints one table and writes build/bench.json."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import msgspec
from rich.console import Console
from rich.table import Table

from services.cli.render import console, table

FOLDER = Path(__file__).parent
OUTPUT = Path("build/bench.json")
# A bench may start an event loop, or leave megabytes behind: each is measured in a fresh interpreter.
CHILD = """\
import importlib, sys
from pathlib import Path
import msgspec
measured = importlib.import_module(sys.argv[1]).measure()
Path(sys.argv[2]).write_bytes(msgspec.json.encode(measured))
"""


class Measurement(msgspec.Struct, forbid_unknown_fields=True):
    """One number. `floor` is the same work without ours, `ratio` the one over the other; None where there is none."""

    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None


Measurements = dict[str, Measurement]


class BenchError(Exception):
    """A bench that did not measure anything; its own words are on stderr."""


def main() -> int:
    """Run the benches that are named, or all; 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(names())} (default: all)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the numbers go")
    arguments = parser.parse_args()
    out, measured, failed = console(), Measurements(), []
    for name in arguments.names or names():
        started = perf_counter()
        try:
            measured |= run(name)
        except BenchError as error:
            failed.append(str(error))
        out.print(f"{name}: {perf_counter() - started:.0f} s", style="dim")
    show(measured, out)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_bytes(msgspec.json.format(msgspec.json.encode(measured)) + b"\n")
    out.print(f"numbers: {arguments.output}")
    for message in failed:
        out.print(message, style="bold red")
    return 1 if failed else 0


def names() -> list[str]:
    """Every bench there is, by name: `fold` for `bench_fold.py`."""
    return sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def run(name: str) -> Measurements:
    """What one bench measures. Raises `BenchError`."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "measured.json"
        done = subprocess.run([sys.executable, "-c", CHILD, f"tests.bench.bench_{name}", str(result)], check=False)
        if done.returncode:
            raise BenchError(f"{name} failed with exit code {done.returncode}")
        try:
            return msgspec.json.decode(result.read_bytes(), type=Measurements)
        except (OSError, msgspec.MsgspecError) as error:
            raise BenchError(f"{name} measured nothing usable: {error}") from error


def show(measured: Measurements, out: Console) -> None:
    """One line a number."""
    out.print(_table(measured))


def _table(measured: Measurements) -> Table:
    made = table("Benchmarks", ("what", ">value", "unit", ">floor", ">ratio"))
    for name, found in sorted(measured.items()):
        made.add_row(name, *_cells(found))
    return made


def _cells(found: Measurement) -> Iterator[str]:
    yield _figure(found.value)
    yield found.unit
    yield "" if found.floor is None else _figure(found.floor)
    yield "" if found.ratio is None else f"{found.ratio:.2f}"


def _figure(value: float) -> str:
    """Three significant figures, or whole numbers with thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
