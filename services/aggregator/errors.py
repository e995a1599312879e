"""Why an aggregator refuses to go on: each reason with what it means and what to do."""

from __future__ import annotations


class AggregatorError(Exception):
    """The state and the ledger do not fit together, or the write path is no longer ours. The process must end."""


class LedgerGap(AggregatorError):
    """The next record does not follow the last one applied: going on would lose what lies between."""

    def __init__(self, partition: int, *, position: int, offset: int) -> None:
        super().__init__(
            f"ledger partition {partition} goes on at offset {offset}, but the state has applied up to {position}. "
            f"If offsets were committed ahead of the state, reset the group to {position + 1} "
            "(kafka-consumer-groups --reset-offsets --to-offset); if retention has deleted the ledger, "
            "restore it from a backup"
        )


class LedgerMissing(AggregatorError):
    """The ledger on the broker is not the one that the state was folded from, or a part of it is gone."""

    def __init__(self, partition: int, *, position: int, first: int, end: int) -> None:
        super().__init__(
            f"the state of ledger partition {partition} has applied up to offset {position}, but the ledger holds "
            f"{first}..{end - 1}. The ledger was deleted, recreated or cut by retention: restore it from a backup, or "
            "start anew under another SPENDGATE_TOPIC_PREFIX"
        )


class ForeignWriter(AggregatorError):
    """Somebody else has written to a changelog partition that this worker owns."""

    def __init__(self, partition: int, *, expected: int, offset: int) -> None:
        super().__init__(
            f"partition {partition} of the balances changelog was written by somebody else (offset {offset}, expected "
            f"{expected}): only the aggregator may write it; check the broker's access rules"
        )
