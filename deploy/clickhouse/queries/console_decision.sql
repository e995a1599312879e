-- console_decision: one decision exactly as it was given, with the whole chain of budgets.
-- parameter decision String: its id
SELECT explanation
FROM decisions
WHERE decision = {decision:String}
LIMIT 1
-- example: {"decision": "dec-enforcer-1f0c9a2b-mie8k3x9-1"}
