"""The audit feed: `spendgate.audit.recorded.v1` to rows of `audit`."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from services.sink.columns import INSTANT, LABEL, TEXT, U16, U32, U64, Columns, many
from services.sink.feed import Feed


class AuditRow(Struct, kw_only=True, gc=False):
    """An audit entry, as recorded and as its table has it. A tolerant reader: newer services know more actions."""

    entry: str
    organization: str | None = None
    action: str
    subject: str
    by: str
    key_id: str | None = None
    reason: str = ""
    before: str = ""
    after: str = ""
    budgets: list[str] = []
    at_ms: int
    ledger_partition: int
    ledger_offset: int
    ledger_index: int


class AuditRecorded(Struct, gc=False, tag_field="type", tag="spendgate.audit.recorded.v1"):
    data: AuditRow


COLUMNS: Final[Columns] = {
    "entry": TEXT,
    "organization": LABEL,
    "action": LABEL,
    "subject": TEXT,
    "by": TEXT,
    "key_id": TEXT,
    "reason": TEXT,
    "before": TEXT,
    "after": TEXT,
    "budgets": many(TEXT),
    "at": INSTANT,
    "ledger_partition": U16,
    "ledger_offset": U64,
    "ledger_index": U32,
}

_decode_many = msgspec.json.Decoder(list[AuditRecorded]).decode
_decode_one = msgspec.json.Decoder(AuditRecorded).decode

AUDIT: Final[Feed[AuditRow]] = Feed(
    topic="audit",
    table="audit",
    columns=COLUMNS,
    time="at",
    many=lambda value: [event.data for event in _decode_many(value)],
    one=lambda element: _decode_one(element).data,
)
