"""Tools that a machine may lack, from PyPI: pinned with hashes, each in an environment of its own, made on demand."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local.cache import SetupError, cache_dir, exclusive

LOCKS = Path(__file__).parent / "sidecars"


def sidecar(name: str) -> Path:
    """The Python of a virtual environment with exactly what `sidecars/<name>.lock` lists. Raises `SetupError`."""
    lock = LOCKS / f"{name}.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    with exclusive(cache_dir() / f"{name}-{digest}") as folder:
        python = folder / "venv" / "bin" / "python"
        if not (folder / "complete").exists():
            shutil.rmtree(folder / "venv", ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(folder / "venv"))
            _run(str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock))
            (folder / "complete").touch()
        return python


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SetupError(f"`{' '.join(command)}` failed:\n{(result.stdout + result.stderr)[-2000:]}")
