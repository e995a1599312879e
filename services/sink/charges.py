"""The charges feed: `spendgate.charge.posted.v1` to rows of `charges`."""

from __future__ import annotations

from typing import Final

import msgspec

from services.core.outcomes import Charge, ChargePosted
from services.sink.columns import BOOL, I64, INSTANT, LABEL, TAGS, TEXT, U16, U32, U64, Columns
from services.sink.feed import Feed

COLUMNS: Final[Columns] = {
    "charge": TEXT,
    "sequence": U64,
    "kind": LABEL,
    "organization": LABEL,
    "project": LABEL,
    "team": LABEL,
    "user": TEXT,
    "provider": LABEL,
    "model": LABEL,
    "tags": TAGS,
    "status": LABEL,
    "cost_nanousd": I64,
    "requests": I64,
    "unpriced": I64,
    "input_tokens": U64,
    "output_tokens": U64,
    "cache_read_tokens": U64,
    "cache_write_tokens": U64,
    "reasoning_tokens": U64,
    "input_cost_nanousd": I64,
    "cache_read_cost_nanousd": I64,
    "cache_write_cost_nanousd": I64,
    "output_cost_nanousd": I64,
    "unconfirmed_nanousd": I64,
    "price_version": LABEL,
    "charged_at": INSTANT,
    "recorded_at": INSTANT,
    "latency_ms": U32,
    "streaming": BOOL,
    "request_id": TEXT,
    "reservation": TEXT,
    "source": LABEL,
    "event_id": TEXT,
    "ledger_partition": U16,
    "ledger_offset": U64,
    "ledger_index": U32,
}

_decode_many = msgspec.json.Decoder(list[ChargePosted]).decode
_decode_one = msgspec.json.Decoder(ChargePosted).decode

CHARGES: Final[Feed[Charge]] = Feed(
    topic="charges",
    table="charges",
    columns=COLUMNS,
    time="charged_at",
    many=lambda value: [event.data for event in _decode_many(value)],
    one=lambda element: _decode_one(element).data,
)
