-- anomalies_told: the anomalies of an organization that have been told already
-- parameter organization String: whose anomalies
-- parameter since_ms Int64: those that begin at this instant and later, UTC milliseconds
SELECT scope, toUnixTimestamp64Milli(begins) AS begins_ms, toUnixTimestamp64Milli(hour) AS hour_ms, anomaly
FROM anomalies FINAL
WHERE organization = {organization:String} AND begins >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
ORDER BY scope, begins
-- example: {"organization": "acme", "since_ms": 1793491200000}
