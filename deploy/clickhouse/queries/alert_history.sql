-- alert_history: all that became of one alert, the latest first: raised, told, escalated since nobody answered, acknowledged
-- parameter organization String: whose alert
-- parameter alert String: which
-- parameter most UInt32: rows at most
-- parameter skip UInt32: rows to leave out first: those of the pages before
SELECT toUnixTimestamp64Milli(at) AS at_ms, what, who, step, state, attempts, detail
FROM
(
    SELECT raised_at AS at, 'raised' AS what, '' AS who, 0 AS step, toString(severity) AS state, 0 AS attempts, '' AS detail,
           0 AS place, alert AS name
    FROM alerts FINAL
    WHERE organization = {organization:String} AND alert = {alert:String}
    UNION ALL
    SELECT at, if(step = 0, 'told', 'escalated'), toString(channel), step, toString(state), attempts, detail,
           1, notification
    FROM notifications FINAL
    WHERE organization = {organization:String} AND alert = {alert:String}
    UNION ALL
    SELECT at, 'acknowledged', `by`, 0, '', 0, reason, 2, entry
    FROM audit FINAL
    WHERE organization = {organization:String} AND action = 'alert.acknowledged' AND subject = {alert:String}
)
ORDER BY at DESC, place DESC, step DESC, name
LIMIT {most:UInt32} OFFSET {skip:UInt32}
-- example: {"organization": "acme", "alert": "month/org:acme@month:2026-11/9000", "most": 100, "skip": 0}
