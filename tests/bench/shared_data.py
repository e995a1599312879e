"""Where the real traces are that are too large to commit: in a folder beside the clone, or wherever `--data` says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

BESIDE: Final = Path(__file__).parents[3] / "shared" / "data"


def nab_folder(data: Path = BESIDE) -> Path:
    """The folder of the labelled series. Raises `FileNotFoundError` that says where they are looked for."""
    folder = data / "nab"
    if not (folder / "windows.json").is_file():
        raise FileNotFoundError(f"no labelled series in {folder}: say --data FOLDER, where FOLDER/nab/windows.json is")
    return folder
