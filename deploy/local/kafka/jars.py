"""Kafka's jars: resolved from Maven Central, then held against a committed list of checksums."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.local.cache import SetupError, cache_dir, exclusive
from deploy.local.sidecar import sidecar

HERE = Path(__file__).parent
VERSION = "4.3.1"
COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
RESOLVE = "import sys, jgo, pathlib; jgo.build(sys.argv[1], cache_dir=pathlib.Path(sys.argv[2]))"
ADVICE = "Install Maven, or allow access to Maven Central and PyPI once; afterwards the jars come from the cache."


def ensure_jars() -> Path:
    """The folder with exactly the locked jars, fetched when something is missing. Raises `SetupError`."""
    with exclusive(cache_dir() / f"kafka-{VERSION}") as folder:
        if differences(folder):
            _fetch(folder)
        if wrong := differences(folder):
            raise SetupError(f"Kafka's jars in {folder} are not the locked ones: {', '.join(wrong)}. {ADVICE}")
        return folder


def differences(folder: Path) -> list[str]:
    """Names of jars that are missing from `folder`, differ from the lock, or are not in it."""
    locked = _locked()
    present = {path.name for path in folder.glob("*.jar")}
    broken = [name for name, digest in locked.items() if name not in present or _sha256(folder / name) != digest]
    return broken + sorted(present - locked.keys())


def _locked() -> dict[str, str]:
    lines = (HERE / "jars.lock").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(folder: Path) -> None:
    for stale in folder.glob("*.jar"):
        stale.unlink()
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        command = _maven(Path(draft)) if shutil.which("mvn") else _jgo(Path(draft))
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise SetupError(f"fetching Kafka's jars failed: {(result.stdout + result.stderr)[-2000:]}\n{ADVICE}")
        for jar in Path(draft).rglob("*.jar"):
            jar.rename(folder / jar.name)


def _maven(draft: Path) -> list[str]:
    target = f"-DoutputDirectory={draft}"
    return ["mvn", "-q", "-B", "-ntp", "-f", str(HERE / "pom.xml"), COPY_DEPENDENCIES, target, "-DincludeScope=runtime"]


def _jgo(draft: Path) -> list[str]:
    """The same jars by a resolver in Python, for machines without Maven."""
    return [str(sidecar("maven")), "-c", RESOLVE, COORDINATES, str(draft)]
