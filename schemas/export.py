"""Write the models as JSON Schemas, for those who do not read Python: `python -m schemas.export [--check]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from schemas.catalog import CATALOG
from schemas.policy import Policy

JSON_DIR = Path(__file__).with_name("json")
POLICY = "spendgate.policy.v1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Untitled(GenerateJsonSchema):
    """Without the titles that repeat the names of fields."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the signature is Pydantic's
        """Never."""
        return False


def models() -> dict[str, type[BaseModel]]:
    """Everything that is exported, by name: each event type, and the policy."""
    return {**{name: event_type.model for name, event_type in CATALOG.items()}, POLICY: Policy}


def exported() -> dict[str, str]:
    """The files as they should be: name and text."""
    return {f"{name}.json": json_text(json_schema(name, model)) for name, model in sorted(models().items())}


def json_schema(name: str, model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of what `model` reads."""
    return {"$schema": DIALECT, "$id": f"{name}.json", **model.model_json_schema(schema_generator=Untitled)}


def json_text(value: object) -> str:
    """JSON for people and for diffs."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def drift(directory: Path, files: Mapping[str, str]) -> list[str]:
    """How `directory` differs from the files that it should have; empty when it does not."""
    found = {path.name: path.read_text("utf-8") for path in directory.glob("*.json")}
    return [
        *(f"{name} is missing" for name in sorted(files.keys() - found.keys())),
        *(f"{name} belongs to no model" for name in sorted(found.keys() - files.keys())),
        *(
            f"{name} differs from its model"
            for name in sorted(files.keys() & found.keys())
            if files[name] != found[name]
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write `schemas/json`, or only check it. Returns 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when a file is out of date")
    parser.add_argument("--dir", type=Path, default=JSON_DIR, help="where the files are (schemas/json)")
    options = parser.parse_args(arguments)
    differences = drift(options.dir, exported())
    if options.check:
        for difference in differences:
            sys.stderr.write(f"{difference}: run python -m schemas.export\n")
        return bool(differences)
    _write(options.dir, exported())
    return 0


def _write(directory: Path, files: Mapping[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("*.json"):
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        (directory / name).write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
