"""Labelled anomalies of 17 real machine metrics, scored by the rules of the Numenta Anomaly Benchmark.

The scorer under test reads each series value by value. Beside it stands NAB's own Windowed Gaussian, to show that the
scoring is theirs: its published score of every series comes out again.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any, Final

import numpy as np

from services.cli.render import console, table
from services.core.anomaly.metric import MetricScorer
from tests.bench.nab_score import Floats, Labelled, Scored, best_threshold, leave_one_out, read_series, score
from tests.bench.shared_data import BESIDE, nab_folder

STEP_S: Final = 300
PUBLISHED_THRESHOLD: Final = 1.0
PUBLISHED_DIGITS: Final = 12
"""NAB wrote its detectors' scores with so many digits: one that is nearer to 1 was read again as 1."""
PUBLISHED: Final = {
    "ec2_cpu_utilization_24ae8d": -1.26667875935,
    "ec2_cpu_utilization_53ea38": -0.141423196117,
    "ec2_cpu_utilization_5f5533": -2.0,
    "ec2_cpu_utilization_77c1ca": -1.0,
    "ec2_cpu_utilization_825cc2": 0.956537840284,
    "ec2_cpu_utilization_ac20cd": 0.86067182427,
    "ec2_cpu_utilization_c6585a": -1.32,
    "ec2_cpu_utilization_fe7f93": 0.638757791772,
    "ec2_disk_write_bytes_1ef3de": -4.19089678552,
    "ec2_disk_write_bytes_c0d644": -1.09599853033,
    "ec2_network_in_257a54": 0.86067182427,
    "ec2_network_in_5abac7": -3.52193223519,
    "elb_request_count_8c0756": -0.138449197924,
    "grok_asg_anomaly": 2.37942230674,
    "iio_us-east-1_i-a2eb1cd9_NetworkIn": -2.0,
    "rds_cpu_utilization_cc0c53": -0.138449197924,
    "rds_cpu_utilization_e47b3b": -0.138449197924,
}
"""Windowed Gaussian's raw scores, standard profile: numenta/NAB, results/windowedGaussian, seen 2026-11-30.

Numenta's HTM, from results/numenta in the same place, has 67.6 on these 17 series at its threshold for all 58."""

_WINDOW: Final = 6400
_SLIDE: Final = 100


def measure(data: Path = BESIDE) -> dict[str, dict[str, Any]]:
    """The standard score with one threshold for all series, the same where each series is left out, and the time."""
    series = read_series(nab_folder(data))
    started = process_time()
    ours = scored(series, metric_scores)
    us = (process_time() - started) / sum(len(one.values) for one in series) * 1e6
    theirs = gaussian(series).normalised
    best = score(ours, series, best_threshold(ours, series)).normalised
    fair = leave_one_out(ours, series).normalised
    return {
        "anomaly_nab_standard_score": {"value": best, "unit": "of 100", "floor": theirs, "ratio": best / theirs},
        "anomaly_nab_leave_one_out": {"value": fair, "unit": "of 100", "floor": theirs, "ratio": fair / theirs},
        "anomaly_nab_update": {"value": us, "unit": "us"},
    }


def scored(series: Sequence[Labelled], score_values: Callable[[Floats], Floats]) -> dict[str, Floats]:
    """A detector's scores of all series."""
    return {one.name: score_values(one.values) for one in series}


def metric_scores(values: Floats) -> Floats:
    """What the metric scorer says of a series, value by value."""
    scorer = MetricScorer(STEP_S)
    return np.array([scorer.score(value) for value in values.tolist()])


def gaussian(series: Sequence[Labelled]) -> Scored:
    """Windowed Gaussian at NAB's threshold for it."""
    return score(scored(series, gaussian_scores), series, PUBLISHED_THRESHOLD)


def gaussian_scores(values: Floats) -> Floats:
    """NAB's baseline: how unlikely a value is under the normal curve of a sliding window of those before."""
    scores, begin, end = np.zeros(len(values)), 0, 1
    for row in range(1, len(values)):
        if row - begin <= _WINDOW:
            end = row
        elif row - end == _SLIDE:
            begin, end = begin + _SLIDE, row
        window = values[begin:end]
        strayed = abs(values[row] - window.mean()) / (window.std() or 1e-6)
        scores[row] = 1 - 0.5 * math.erfc(strayed / math.sqrt(2))
    return np.round(scores, PUBLISHED_DIGITS)


def main() -> None:
    """Print the score of each series and of all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_anomaly_nab", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=BESIDE, help="folder that holds nab/windows.json (default: %(default)s)"
    )
    series = read_series(nab_folder(parser.parse_args().data))
    ours, out = scored(series, metric_scores), console()
    threshold = best_threshold(ours, series)
    best, fair, theirs = score(ours, series, threshold), leave_one_out(ours, series), gaussian(series)
    made = table(
        "NAB, standard profile",
        ("series", ">raw score", ">threshold from the others", ">Windowed Gaussian", ">published"),
    )
    for name in (one.name for one in series):
        published = PUBLISHED.get(Path(name).stem)
        cells = [f"{each.raw[name]:.2f}" for each in (best, fair, theirs)]
        made.add_row(Path(name).stem, *cells, "" if published is None else f"{published:.2f}")
    made.add_row("all, 0 to 100", *(f"{each.normalised:.1f}" for each in (best, fair, theirs)), "")
    out.print(made)
    out.print(
        f"One threshold for all, {threshold:.3f}: {best.found} of {best.windows} windows found, "
        f"{best.false_alarms} false alarms. At thresholds from the others: {fair.found} and {fair.false_alarms}."
    )


if __name__ == "__main__":
    main()
