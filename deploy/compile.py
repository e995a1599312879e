"""Compiles the modules that a check runs through: `python -m deploy.compile`."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

from services.compiled import BUILT, LIBRARY, MODULES, ROOT, digest, is_made

KEPT: Final = 3


def main() -> int:
    """0 when compiled modules are there, or nothing here could compile them; whatever cannot be compiled raises."""
    folder = BUILT / digest()
    if is_made(folder):
        return 0
    lacking = lacks()
    if lacking is not None:
        say(f"Not compiling, {lacking}: everything works the same, and checks take three times as long.")
        return 0
    say("Compiling the modules that a check runs through (a minute)")
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT, prefix="draft-") as scratch:
        compile_into(Path(scratch))
        (Path(scratch) / "made").replace(folder)
    forget_old()
    return 0


def forget_old() -> None:
    """Remove what was made of older sources, but for the last few: processes may still run it."""
    made = [path for path in BUILT.iterdir() if not path.name.startswith("draft-")]
    for old in sorted(made, key=lambda path: path.stat().st_mtime_ns)[:-KEPT]:
        shutil.rmtree(old)


def lacks() -> str | None:
    """What is missing to compile; None when nothing is."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers are not installed"
    try:
        import setuptools  # noqa: F401
        from mypyc.build import mypycify  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed"
    return None


def compile_into(scratch: Path) -> None:
    """Compile into `scratch/made`. Raises SystemExit for what mypyc refuses, and setuptools' errors."""
    import setuptools
    from mypyc.build import mypycify
    from setuptools.command.build_ext import build_ext

    os.chdir(ROOT)
    paths = [f"{name.replace('.', '/')}.py" for name in MODULES]
    extensions = mypycify(
        ["--cache-dir", str(BUILT.parent / "mypyc_cache"), *paths],
        opt_level="2",
        debug_level="0",
        target_dir=str(scratch / "c"),
        group_name=LIBRARY.removesuffix("__mypyc"),
    )
    command = build_ext(setuptools.Distribution({"name": "spendgate", "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(scratch / "made"), str(scratch / "objects")
    command.ensure_finalized()
    command.run()


def say(line: str) -> None:
    """To people."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
