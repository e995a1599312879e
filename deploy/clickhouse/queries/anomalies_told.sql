-- anomalies_told: the anomalies of an organization that have been told already
-- parameter organization String: whose anomalies
-- parameter since DateTime64(3, 'UTC'): those that begin at this instant and later
SELECT scope, toUnixTimestamp64Milli(begins) AS begins_ms, toUnixTimestamp64Milli(hour) AS hour_ms, anomaly
FROM anomalies FINAL
WHERE organization = {organization:String} AND begins >= {since:DateTime64(3, 'UTC')}
ORDER BY scope, begins
-- example: organization = 'acme', since = '2026-11-01 00:00:00'
