-- spend_positions: how far the charges of each organization have arrived; what has not moved need not be looked at again
-- parameter since_ms Int64: only charges of this instant and later, UTC milliseconds
SELECT organization,
       any(topic_partition) AS topic_partition,
       max(topic_offset)    AS topic_offset,
       max(ledger_offset)   AS ledger_offset
FROM charges
WHERE charged_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
GROUP BY organization
ORDER BY organization
-- example: {"since_ms": 1795478400000}
