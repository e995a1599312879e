"""Compiled modules run only where they were made of the sources beside them, and what cannot compile says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.compile import lacks
from services.compiled import LIBRARY, MODULES, ROOT, Compiled, digest, is_made, path_of, sources

WHERE = "import services.core.decide as it, services.compiled as c; print(it.__file__, c.is_in_use())"


def test_every_compiled_module_has_a_source_that_its_digest_depends_on() -> None:
    read = set(sources())
    assert all(ROOT / f"{name.replace('.', '/')}.py" in read for name in MODULES)


def test_the_digest_is_that_of_what_the_sources_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "services" / "core" / "decide.py"
    file.parent.mkdir(parents=True)
    monkeypatch.setattr("services.compiled.ROOT", tmp_path)
    found = []
    for text in ("A = 1\n", "A = 2\n", "A = 1\n"):
        file.write_text(text)
        found.append(digest())
    assert found[0] == found[2] != found[1]


def test_a_folder_that_is_not_filled_is_not_used(tmp_path: Path) -> None:
    assert not is_made(tmp_path)
    path_of(LIBRARY, tmp_path).touch()
    assert is_made(tmp_path)


def test_only_what_is_compiled_is_found_elsewhere(tmp_path: Path) -> None:
    finder = Compiled(tmp_path)
    spec = finder.find_spec("services.core.decide", None)
    assert spec is not None
    assert spec.origin == str(path_of("services.core.decide", tmp_path))
    assert finder.find_spec("services.core.ask", None) is None


def test_the_sources_run_where_that_is_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHERE], cwd=ROOT, env={"SPENDGATE_PURE": "1"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(ROOT / "services" / "core" / "decide.py"), "False"]


def test_a_machine_without_a_compiler_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler --fast")
    assert lacks() == "there is no C compiler (no-such-compiler)"
