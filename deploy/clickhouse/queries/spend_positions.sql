-- spend_positions: how far the charges of each organization have arrived; what has not moved need not be looked at again
-- parameter since DateTime64(3, 'UTC'): only charges of this instant and later
SELECT organization,
       any(topic_partition) AS topic_partition,
       max(topic_offset)    AS topic_offset,
       max(ledger_offset)   AS ledger_offset
FROM charges
WHERE charged_at >= {since:DateTime64(3, 'UTC')}
GROUP BY organization
ORDER BY organization
-- example: since = '2026-11-24 00:00:00'
