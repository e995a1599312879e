-- alerts_of: the alerts of an organization, the latest first: what was crossed, is expected, has no price; who has it
-- parameter organization String: whose alerts
-- parameter since_ms Int64: raised from this instant on, in UTC milliseconds
-- parameter kind String: threshold, projection or unpriced; empty for all
-- parameter most UInt32: rows at most
-- parameter skip UInt32: rows to leave out first: those of the pages before
SELECT alert, kind, budget, scope, window, threshold, severity, settled_nanousd, limit_nanousd, probability,
       projected_nanousd, expected_on, toUnixTimestamp64Milli(raised_at) AS raised_at_ms,
       acknowledged_by, acknowledged_note, acknowledged_at_ms
FROM
(
    SELECT *
    FROM alerts FINAL
    WHERE organization = {organization:String}
      AND raised_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
      AND ({kind:String} = '' OR kind = {kind:String})
    ORDER BY raised_at DESC, alert
    LIMIT {most:UInt32} OFFSET {skip:UInt32}
) AS raised
LEFT JOIN
(
    -- Of several answers the first holds.
    SELECT subject AS alert, argMin(`by`, (at, entry)) AS acknowledged_by, argMin(reason, (at, entry)) AS acknowledged_note,
           toUnixTimestamp64Milli(min(at)) AS acknowledged_at_ms
    FROM audit FINAL
    WHERE organization = {organization:String} AND action = 'alert.acknowledged'
    GROUP BY subject
) AS answered USING (alert)
ORDER BY raised_at DESC, alert
-- example: {"organization": "acme", "since_ms": 1793491200000, "kind": "", "most": 100, "skip": 0}
