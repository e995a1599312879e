-- anomalies_of: spending of an organization that was not like its past, the latest first, with who made it so
-- parameter organization String: whose anomalies
-- parameter since_ms Int64: shown by an hour from this instant on, in UTC milliseconds
-- parameter scope String: only this scope; empty for all
-- parameter most UInt32: rows at most
-- parameter skip UInt32: rows to leave out first: those of the pages before
SELECT anomaly, scope, kind, severity, toUnixTimestamp64Milli(begins) AS begins_ms,
       toUnixTimestamp64Milli(hour) AS hour_ms, observed_nanousd, expected_nanousd, score,
       dimensions, `values`, values_observed, values_expected, toUnixTimestamp64Milli(found_at) AS found_at_ms
FROM anomalies FINAL
WHERE organization = {organization:String}
  AND hour >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND ({scope:String} = '' OR scope = {scope:String})
ORDER BY hour DESC, observed_nanousd DESC, scope, anomaly
LIMIT {most:UInt32} OFFSET {skip:UInt32}
-- example: {"organization": "acme", "since_ms": 1793491200000, "scope": "", "most": 100, "skip": 0}
