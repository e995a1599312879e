"""Refuse what breaks a released event version: `python -m schemas.compat [--base COMMIT | --snapshot DIRECTORY]`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.compat_rules import Break, breaks
from schemas.export import exported

ROOT = Path(__file__).parents[1]
JSON_PATH = "schemas/json"

Schemas = Mapping[str, Mapping[str, Any]]


class BaseUnknown(Exception):
    """There is nothing to compare with; the message says what to do."""


def all_breaks(old: Schemas, new: Schemas) -> Iterator[Break]:
    """What may no longer be read, over all files. A file that is gone breaks everybody who has such events."""
    for name in sorted(old):
        if name not in new:
            yield Break(name, "is gone: keep the version, and add the next one beside it")
            continue
        for found in breaks(old[name], new[name]):
            yield Break(f"{name} {found.path}", found.message)


def of_directory(directory: Path) -> Schemas:
    """The schemas in the files of a directory."""
    return {path.name: json.loads(path.read_text("utf-8")) for path in directory.glob("*.json")}


def of_commit(commit: str, root: Path = ROOT) -> Schemas:
    """The schemas as committed in the repository at `root`. Raises BaseUnknown when git does not know the commit."""
    listing = _git(root, "ls-tree", "--name-only", commit, f"{JSON_PATH}/")
    names = [name for name in listing.split() if name.endswith(".json")]
    return {Path(name).name: json.loads(_git(root, "show", f"{commit}:{name}")) for name in names}


def last_release(root: Path = ROOT) -> str | None:
    """The newest tag in the history of the checkout; None before the first, and in an archive without a history."""
    if not (root / ".git").exists():
        return None
    return _git(root, "describe", "--tags", "--abbrev=0").strip() if _git(root, "tag", "--merged").strip() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the models with what was released. Returns 1 when something breaks, 2 when the base is unknown."""
    parser = argparse.ArgumentParser(prog="python -m schemas.compat", description=__doc__)
    base = parser.add_mutually_exclusive_group()
    base.add_argument("--base", help="the commit to compare with (the last release)")
    base.add_argument("--snapshot", type=Path, help="a directory of JSON Schemas to compare with")
    options = parser.parse_args(arguments)
    try:
        old = of_directory(options.snapshot) if options.snapshot else _of_base(options.base or last_release())
    except BaseUnknown as error:
        sys.stderr.write(f"{error}\n")
        return 2
    found = list(all_breaks(old, {name: json.loads(text) for name, text in exported().items()}))
    for each in found:
        sys.stderr.write(f"{each}\n")
    sys.stdout.write(f"{len(old)} released schemas compared, {len(found)} breaking changes\n")
    return bool(found)


def _of_base(commit: str | None) -> Schemas:
    """Before the first release nothing is promised."""
    return of_commit(commit) if commit else {}


def _git(root: Path, *arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise BaseUnknown(
            f"git {' '.join(arguments)}: {answer.stderr.strip()}; name a commit with --base, or --snapshot"
        )
    return answer.stdout


if __name__ == "__main__":
    sys.exit(main())
