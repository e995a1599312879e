"""`make sim SEED= RUNS=`: play many runs from consecutive seeds; the seed of one that breaks is printed and replays."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from tests.sim.runs import play, play_many


def main() -> int:
    """0 when every run held, 1 with the seeds of those that did not."""
    parser = argparse.ArgumentParser(prog="make sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--runs", type=int, default=200, help="how many seeds, one after the other")
    chosen = parser.parse_args()
    if chosen.runs == 1:
        play(chosen.seed)
    seeds = range(chosen.seed, chosen.seed + chosen.runs)
    happened, broken = play_many(seeds, told=sys.stdout.isatty())
    for each in broken:
        sys.stdout.write(f"{each}\n")
    told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in asdict(happened).items())
    sys.stdout.write(f"{chosen.runs - len(broken):,} of {chosen.runs:,} runs held: {told}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
