-- acknowledgements_of: who has taken alerts of an organization, the latest first
-- parameter organization String: whose alerts
-- parameter alert String: this alert; empty for all
-- parameter since_ms Int64: from this instant on, in UTC milliseconds
-- parameter most UInt32: rows at most
-- parameter skip UInt32: rows to leave out first: those of the pages before
SELECT subject AS alert, `by`, reason AS note, toUnixTimestamp64Milli(at) AS at_ms
FROM audit FINAL
WHERE organization = {organization:String}
  AND action = 'alert.acknowledged'
  AND ({alert:String} = '' OR subject = {alert:String})
  AND at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
ORDER BY at DESC, entry
LIMIT {most:UInt32} OFFSET {skip:UInt32}
-- example: {"organization": "acme", "alert": "", "since_ms": 1793491200000, "most": 100, "skip": 0}
