"""Cost anomalies put into simulated hourly spending: how many the detector finds, and how often it cries wolf.

The detector runs with its default settings. The plain alarms beside it get the best threshold that a budget of one
false alert a scope and 30 days allows, found on the very same spending: a head start that nobody has in practice.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import process_time
from typing import Any, Final

import numpy as np

from services.cli.render import console, table
from services.core.anomaly import Detector
from tests.bench.injected import ANOMALIES, BEGIN_HOUR, HOUR_MS, KINDS, Outcome, Spending, outcome, spending
from tests.bench.plain_alarms import at_budget, ewma, heard, trailing_mean

SEED: Final = 2026
"""Frozen: nothing was chosen on it. The settings come from seeds 1 to 12."""
SERIES: Final = 120
FALSE_PER_30_DAYS: Final = 1.0
USUAL_FACTOR: Final = 3.0
COLUMNS: Final = ("detector", ">recall", ">false / 30 days", *(f">{kind}" for kind in ANOMALIES), ">delay, hours")


def measure() -> dict[str, dict[str, Any]]:
    """Recall and false alerts, beside EWMA's at the same budget of false alerts; and the time of one update."""
    scopes = spending(SEED, SERIES)
    started = process_time()
    found = outcome(scopes, alerts(scopes))
    us = (process_time() - started) / sum(len(scope.amounts_nanousd) for scope in scopes) * 1e6
    _, floor = at_budget(scopes, ewma, FALSE_PER_30_DAYS)
    return {
        "anomaly_injected_recall": {
            "value": found.recall, "unit": "of 1", "floor": floor.recall, "ratio": found.recall / floor.recall,
        },
        "anomaly_injected_false_alerts": {"value": found.false_per_30_days, "unit": "a scope and 30 days"},
        "anomaly_update": {"value": us, "unit": "us"},
    }  # fmt: skip


def alerts(scopes: Sequence[Spending]) -> list[list[int]]:
    """Where the detector finds something, in each scope."""
    return [_alerts(scope) for scope in scopes]


def _alerts(scope: Spending) -> list[int]:
    detector = Detector()
    hours = enumerate(scope.amounts_nanousd.tolist())
    return [at for at, amount in hours if detector.update((BEGIN_HOUR + at) * HOUR_MS, amount)]


def main() -> None:
    """Print one line a detector."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_anomaly_injected", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="of the spending (default: %(default)s, the frozen one)")
    parser.add_argument("--series", type=int, default=SERIES, help="how many scopes (default: %(default)s)")
    arguments = parser.parse_args()
    scopes = spending(arguments.seed, max(1, arguments.series))
    started = process_time()
    found = outcome(scopes, alerts(scopes))
    us = (process_time() - started) / sum(len(scope.amounts_nanousd) for scope in scopes) * 1e6
    made = table(f"Injected anomalies, seed {arguments.seed}, {len(scopes)} scopes", COLUMNS)
    made.add_row("ours, default settings", *_cells(found))
    for name, score in (("EWMA", ewma), ("trailing mean", trailing_mean)):
        threshold, at_best = at_budget(scopes, score, FALSE_PER_30_DAYS)
        made.add_row(f"{name} x {threshold:.1f}, one false", *_cells(at_best))
    threefold = heard(scopes, [trailing_mean(scope.amounts_nanousd) for scope in scopes], USUAL_FACTOR)
    made.add_row(f"trailing mean x {USUAL_FACTOR:.1f}, as usual", *_cells(threefold))
    out = console()
    out.print(made)
    days = found.days / len(KINDS)
    wolf = ", ".join(f"{kind} {found.false_by_kind[kind] / days * 30:.1f}" for kind in KINDS)
    out.print(f"False alerts of ours by kind of scope: {wolf}. One update takes {us:.1f} us.")


def _cells(found: Outcome) -> list[str]:
    by_kind = [f"{found.found[kind] / found.injected[kind]:.2f}" for kind in ANOMALIES]
    delay = f"{np.median(found.delays_hours):.0f}" if found.delays_hours else ""
    return [f"{found.recall:.3f}", f"{found.false_per_30_days:.2f}", *by_kind, delay]


if __name__ == "__main__":
    main()
