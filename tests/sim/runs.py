"""Plays a run from its seed, or many on every core."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from rich.progress import track

from tests.sim.auditor import Auditor
from tests.sim.faults import Faults
from tests.sim.happenings import Happenings
from tests.sim.world import World

CHUNK = 10


def play(seed: int, faults: Faults | None = None) -> Happenings:
    """One run; what happened in it. Raises Broken, or an assertion of the code itself."""
    world = World(seed, faults)
    auditor = Auditor(world)
    world.run(auditor.check_step)
    auditor.check_end()
    return world.seen


def outcome(seed: int) -> Happenings | str:
    """What happened in a run, or how it broke."""
    try:
        return play(seed)
    except AssertionError as broken:
        return f"seed {seed} broke: {broken}\nreplay it: make sim SEED={seed} RUNS=1"


def play_many(seeds: Iterable[int], *, told: bool = False) -> tuple[Happenings, list[str]]:
    """Runs of many seeds on every core: what happened in all, and those that broke."""
    seeds, happened, broken = list(seeds), Happenings(), []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        outcomes = pool.map(outcome, seeds, chunksize=CHUNK)
        for each in track(outcomes, "simulating", total=len(seeds), disable=not told):
            if isinstance(each, str):
                broken.append(each)
            else:
                happened.add(each)
    return happened, broken
