INSERT INTO alerts
SELECT
    concat('alert-', toString(number)) AS alert, ['threshold', 'projection', 'anomaly'][1 + number % 3] AS kind,
    if(number % 4 = 0, 'acme', concat('org-', toString(1 + number % 19))) AS organization,
    'company-month' AS budget, concat('org:', organization) AS scope, 'month:2026-11' AS window,
    '0.9' AS threshold, ['info', 'warning', 'critical'][1 + number % 3] AS severity,
    1000000000 AS settled_nanousd, 2000000000 AS limit_nanousd, 0.8 AS probability, 3000000000 AS projected_nanousd,
    toDate('2026-11-28') AS expected_on,
    fromUnixTimestamp64Milli({end_ms:Int64} - toInt64(number) * 500000, 'UTC') AS raised_at,
    0 AS ledger_partition, number AS ledger_offset, 0 AS topic_partition, number AS topic_offset
FROM numbers({count:UInt32})
SETTINGS insert_deduplicate = 0
