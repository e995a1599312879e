"""`spendgate forecast backtest`: forecasts of months that are over, beside what they came to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.adapters.prophet_voice import ProphetVoice
from services.cli.backtest.months import Month
from services.cli.backtest.real import CLOUD, VISITS, real_months
from services.cli.backtest.score import DAYS, Scores, score, together
from services.cli.backtest.synthetic import CLASSES, synthetic_months
from services.cli.render import console, table
from services.core.forecast import Voice

SERIES = Path(__file__).parents[3] / "examples" / "series"
SEED = 3101
EACH = 80
CHUNK = 32
"""So many months are forecast between two steps of the progress bar."""

REAL = (VISITS, CLOUD)
HELP = (
    "Forecast months that are over, as of several days within them, and compare with what they came to.\n\n"
    "The months are real ones (daily page views over years; load of cloud machines, where --data has some) and "
    "synthetic spending of ten classes from a seed. Nothing was learned from any of them: the calibration has "
    "synthetic months of its own, and no real ones.\n\n"
    "Errors are shown as a ratio to the run-rate's, which takes what was spent so far as the pace of the whole month: "
    "below 1 is better. Coverage says how often the month ended within its 80% interval. Brier is the mean squared "
    "error of the probabilities to exceed a budget of 0.8 to 1.25 times the usual month, as a ratio to that of the "
    "run-rate's yes or no."
)


def backtest(
    data: Annotated[
        Path,
        typer.Option("--data", help="Folder of real series: daily/*.csv, nab/*/*.csv.", show_default="examples/series"),
    ] = SERIES,
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic months.")] = SEED,
    each: Annotated[int, typer.Option(min=1, max=2000, help="Synthetic months of each class.")] = EACH,
    prophet: Annotated[
        bool, typer.Option("--prophet/--no-prophet", help="With Prophet as a voice: minutes instead of seconds.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """See HELP."""
    months = [*real_months(data), *synthetic_months("judge", seed=seed, each=each)]
    voices = [ProphetVoice(processes=os.cpu_count() or 1)] if prophet else []
    scores = _judge(months, voices)
    groups = groups_of(months)
    if as_json:
        typer.echo(json.dumps(document(scores, groups, seed=seed, prophet=prophet), indent=2))
    else:
        print_tables(scores, groups)


def groups_of(months: Sequence[Month]) -> dict[str, tuple[str, ...]]:
    """The rows of the tables: everything, the real series, each class that there is."""
    there = {month.kind for month in months}
    kinds = [kind for kind in (*REAL, *CLASSES) if kind in there]
    return {"all": tuple(kinds), "real": REAL, **{kind: (kind,) for kind in kinds}}


def document(
    scores: Mapping[int, Scores], groups: Mapping[str, tuple[str, ...]], *, seed: int, prophet: bool
) -> dict[str, Any]:
    """For programs."""
    return {
        "seed": seed,
        "prophet": prophet,
        "groups": {
            name: {
                **_figures(together([each.of(kinds) for each in scores.values()])),
                "months": len(next(iter(scores.values())).of(kinds).kinds),
                "days": {str(day): _figures(each.of(kinds)) for day, each in scores.items()},
            }
            for name, kinds in groups.items()
        },
    }


def print_tables(scores: Mapping[int, Scores], groups: Mapping[str, tuple[str, ...]]) -> None:
    """For people: one line for each class."""
    made = table(
        "Error of the month's total (WAPE), as a ratio to the run-rate's, by the day of the month",
        ("class", ">months", *(f">day {day}" for day in scores), ">coverage", ">Brier ratio"),
        caption="coverage of the 80% interval and Brier of P(exceed): over all these days",
    )
    plain = table("The errors themselves", ("class", *(f">day {day}" for day in scores), ">run-rate, over all"))
    for name, kinds in groups.items():
        chosen = [each.of(kinds) for each in scores.values()]
        over_all = together(chosen)
        ratios = [f"{each.ratio:.2f}" for each in chosen]
        made.add_row(
            name, f"{len(chosen[0].kinds)}", *ratios, f"{over_all.coverage:.1%}", f"{over_all.brier_ratio:.2f}"
        )
        plain.add_row(name, *(f"{each.wape:.1%}" for each in chosen), f"{over_all.run_rate_wape:.1%}")
        if name == "real":
            made.add_section()
            plain.add_section()
    console().print(made)
    console().print(plain)


def _judge(months: Sequence[Month], voices: Sequence[Voice]) -> dict[int, Scores]:
    out = console(stderr=True)
    chunk = CHUNK if voices else len(months)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=out
    ) as progress:
        task = progress.add_task("forecasting", total=len(months) * len(DAYS))
        scores = {}
        for day in DAYS:
            parts = []
            for first in range(0, len(months), chunk):
                parts.append(score(months[first : first + chunk], day, voices=voices))
                progress.advance(task, len(parts[-1].kinds))
            scores[day] = together(parts)
    return scores


def _figures(scores: Scores) -> dict[str, float]:
    figures = {
        "wape": scores.wape,
        "run_rate_wape": scores.run_rate_wape,
        "ratio": scores.ratio,
        "coverage": scores.coverage,
        "width": float(np.mean(scores.width)),
        "brier": float(np.mean(scores.brier)),
        "run_rate_brier": float(np.mean(scores.run_rate_brier)),
        "brier_ratio": scores.brier_ratio,
    }
    return {name: round(value, 4) for name, value in figures.items()}
