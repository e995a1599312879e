INSERT INTO anomalies
SELECT
    concat('anomaly-', toString(number)) AS anomaly,
    if(number % 4 = 0, 'acme', concat('org-', toString(1 + number % 19))) AS organization,
    concat('org:', organization, '/project:search') AS scope, ['spike', 'shift', 'ramp'][1 + number % 3] AS kind,
    ['info', 'warning', 'critical'][1 + number % 3] AS severity,
    fromUnixTimestamp64Milli({end_ms:Int64} - toInt64(number) * 500000, 'UTC') AS begins, begins AS hour,
    9000000000 AS observed_nanousd, 3000000000 AS expected_nanousd, 7.5 AS score, ['user'] AS dimensions,
    ['user-7'] AS values, [8000000000] AS values_observed, [1000000000] AS values_expected,
    now64(3, 'UTC') AS found_at, 0 AS topic_partition, number AS topic_offset
FROM numbers({count:UInt32})
SETTINGS insert_deduplicate = 0
