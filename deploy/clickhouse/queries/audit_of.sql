-- audit_of: who changed what of an organization, when and why, the latest first
-- parameter organization String: whose audit log
-- parameter since_ms Int64: recorded from this instant on, in UTC milliseconds
-- parameter budget String: only what concerns this budget; empty for all
-- parameter by String: only what this person did; empty for all
-- parameter action String: only this action, as policy.applied; empty for all
-- parameter most UInt32: rows at most
-- parameter skip UInt32: rows to leave out first: those of the pages before
SELECT entry, action, subject, `by`, key_id, reason, before, after, budgets, toUnixTimestamp64Milli(at) AS at_ms,
       ledger_partition, ledger_offset
FROM audit FINAL
WHERE organization = {organization:String}
  AND at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND ({budget:String} = '' OR has(budgets, {budget:String}))
  AND ({by:String} = '' OR `by` = {by:String})
  AND ({action:String} = '' OR action = {action:String})
ORDER BY at DESC, ledger_offset DESC, ledger_index DESC, entry DESC
LIMIT {most:UInt32} OFFSET {skip:UInt32}
-- example: {"organization": "acme", "since_ms": 1793491200000, "budget": "", "by": "", "action": "", "most": 100, "skip": 0}
