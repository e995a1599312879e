"""`spendgate forecast calibrate`: learn whom to listen to and how wide intervals must be, from synthetic months."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from services.cli.backtest.learn import EACH, SEED, learn
from services.cli.errors import Mismatch
from services.cli.render import console
from services.core.forecast import calibrated
from services.core.forecast.calibration import Calibration, read_calibration, write_tables

FILE = Path(calibrated.__file__)
TOLERANCE = 0.05
HEADER = '''"""What `spendgate forecast calibrate` learned, and wrote: nothing here is changed by hand."""

from typing import Final
'''
HELP = (
    "Learn the calibration again: the weights of the models and the width of the intervals.\n\n"
    "It comes from synthetic months of a stream that no backtest judges, takes about a minute, and is written into "
    "the sources: run it after a change of a model, then `spendgate forecast backtest`."
)


def calibrate(
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic months.")] = SEED,
    each: Annotated[int, typer.Option(min=20, max=2000, help="Synthetic months of each class.")] = EACH,
    output: Annotated[Path, typer.Option(help="Where the tables go.", show_default="the source file")] = FILE,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if it is not what is there.")
    ] = False,
) -> None:
    """See HELP."""
    out = console(stderr=True)
    with Progress(console=out) as progress:
        task = progress.add_task("learning", total=1.0)
        learned = learn(seed=seed, each=each, told=lambda done: progress.update(task, completed=done))
    tables = write_tables(learned)
    if check:
        _compare(read_calibration(tables["GATE"], tables["SCALE"], tables["QUANTILES"]), Calibration.shipped())
        out.print("the calibration is what is learned again")
        return
    output.write_text(source(tables))
    out.print(f"written: {output}")


def source(tables: dict[str, str]) -> str:
    """The module that holds the tables."""
    return HEADER + "".join(f'\n{name}: Final = """\n{text}\n"""\n' for name, text in tables.items())


def _compare(learned: Calibration, shipped: Calibration) -> None:
    for name in ("gate", "scale", "quantiles"):
        new, old = getattr(learned, name), getattr(shipped, name)
        if new.shape != old.shape or np.abs(new - old).max() > TOLERANCE:
            raise Mismatch(f"the {name} learned now is not the one shipped", advice="spendgate forecast calibrate")
