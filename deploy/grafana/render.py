"""`python -m deploy.grafana.render`: write the dashboards as Grafana reads them, or tell that they are out of date."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from deploy.grafana.boards import ALL
from deploy.grafana.encode import encode

FOLDER = Path(__file__).parent / "dashboards"


def rendered() -> dict[str, str]:
    """The text of each file, by its name."""
    return {f"{board.uid}.json": json.dumps(encode(board), indent=2, ensure_ascii=False) + "\n" for board in ALL}


def stale(folder: Path) -> list[str]:
    """Names of files that are missing, differ from what would be rendered, or are no dashboards of ours any more."""
    wanted = rendered()
    found = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path) -> None:
    """Write all dashboards, and remove files of those that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = rendered()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, "utf-8")


def main() -> None:
    """Render, or check with `--check`; exits with 1 when something is out of date."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana.render", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the JSON files are (default: %(default)s)")
    arguments = parser.parse_args()
    if not arguments.check:
        write(arguments.folder)
    elif names := stale(arguments.folder):
        parser.exit(1, f"out of date: {', '.join(names)}; run python -m deploy.grafana.render\n")


if __name__ == "__main__":
    main()
