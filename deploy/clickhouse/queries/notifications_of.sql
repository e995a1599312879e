-- notifications_of: who was told of an organization's alerts, the latest first
-- parameter organization String: whose alerts
-- parameter alert String: of this alert; empty for all
-- parameter since_ms Int64: from this instant on, in UTC milliseconds
-- parameter most UInt32: rows at most
-- parameter skip UInt32: rows to leave out first: those of the pages before
SELECT notification, alert, channel, step, state, attempts, message, detail, toUnixTimestamp64Milli(at) AS at_ms
FROM notifications FINAL
WHERE organization = {organization:String}
  AND ({alert:String} = '' OR alert = {alert:String})
  AND at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
ORDER BY at DESC, notification
LIMIT {most:UInt32} OFFSET {skip:UInt32}
-- example: {"organization": "acme", "alert": "", "since_ms": 1793491200000, "most": 100, "skip": 0}
