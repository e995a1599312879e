INSERT INTO forecasts
SELECT
    concat('forecast-', toString(number)) AS forecast, organization,
    concat('org:', organization, if(s < 20, '', concat('/user:user-', toString(s)))) AS scope,
    'month:2026-11' AS window, toDate('2026-11-01') + d AS as_of, '2026-11-01' AS begins, '2026-12-01' AS ends,
    toInt64(1000000000) * d * s AS spent_nanousd, toInt64(30000000000) * s AS total_nanousd,
    toInt64(20000000000) * s AS low_nanousd, toInt64(40000000000) * s AS high_nanousd,
    arrayMap(n -> toDate('2026-11-01') + n, range(30)) AS fan_days,
    arrayMap(n -> toInt64(n) * 700000000 * s, range(30)) AS fan_low,
    arrayMap(n -> toInt64(n) * 1000000000 * s, range(30)) AS fan_mid,
    arrayMap(n -> toInt64(n) * 1300000000 * s, range(30)) AS fan_high,
    ['company-month'] AS risk_budgets, [toInt64(30000000000)] AS risk_limits, [0.4] AS risk_chances,
    [toDate('2026-11-28')] AS risk_days, ['weekday', 'ses'] AS models, toDateTime64(as_of, 3, 'UTC') + 600 AS made_at,
    0 AS topic_partition, number AS topic_offset
FROM
(
    SELECT
        number, number % {scopes:UInt32} AS s, intDiv(number, {scopes:UInt32}) AS d,
        if(s % 4 = 0, 'acme', concat('org-', toString(1 + s % 19))) AS organization
    FROM numbers({scopes:UInt32} * 30)
)
SETTINGS insert_deduplicate = 0
