-- request_hours: the hours (UTC) of a stretch of time in which an organization asked for anything that is known.
-- parameter organization String: whose requests
-- parameter start_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end
SELECT DISTINCT toInt64(toUnixTimestamp(hour)) * 1000 AS hour_ms
FROM
(
    SELECT toStartOfHour(charged_at) AS hour
    FROM charges
    WHERE organization = {organization:String} AND charged_at >= start AND charged_at < end
    UNION ALL
    SELECT toStartOfHour(decided_at) AS hour
    FROM decisions
    WHERE organization = {organization:String} AND decided_at >= start AND decided_at < end
)
ORDER BY hour_ms
-- example: {"organization": "acme", "start_ms": 1795478400000, "end_ms": 1795564800000}
