-- review_anomalies: anomalies that began in a period, the dearest first, with the names that moved in each.
-- parameter organization String: whose spending
-- parameter scope String: of this scope only, such as org:acme/project:search; empty for all
-- parameter begin_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter most UInt64: so many at most
SELECT
    scope, kind, severity,
    toUnixTimestamp64Milli(begins) AS begins_ms,
    observed_nanousd, expected_nanousd, dimensions, values, values_observed, values_expected
FROM anomalies FINAL
WHERE organization = {organization:String} AND ({scope:String} = '' OR scope = {scope:String})
  AND begins >= fromUnixTimestamp64Milli({begin_ms:Int64}) AND begins < fromUnixTimestamp64Milli({end_ms:Int64})
ORDER BY observed_nanousd - expected_nanousd DESC, scope, begins
LIMIT {most:UInt64}
-- example: {"organization": "acme", "scope": "", "begin_ms": 1795410000000, "end_ms": 1796014800000, "most": 20}
