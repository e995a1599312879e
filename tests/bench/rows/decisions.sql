INSERT INTO decisions
SELECT
    concat('dec-', toString(number)) AS decision,
    fromUnixTimestamp64Milli(
        {begin_ms:Int64} + toInt64(({end_ms:Int64} - {begin_ms:Int64}) * (number / {count:UInt64})), 'UTC') AS decided_at,
    if(r % 4 = 0, 'acme', concat('org-', toString(1 + r % 19))) AS organization,
    ['search', 'assistant'][1 + r % 2] AS project, concat('team-', toString(r % 10)) AS team,
    concat('user-', toString(r % 5000)) AS user, 'openai' AS provider, concat('model-', toString(r % 30)) AS model,
    ['normal', 'critical', 'batch'][1 + r % 3] AS priority,
    ['deny', 'throttle', 'fallback', 'allow'][1 + intDiv(r, 4) % 4] AS action,
    ['hard', 'throttle', 'soft', 'ok'][1 + intDiv(r, 4) % 4] AS tier,
    ['over_limit', 'paced', 'model_replaced', 'within_budget'][1 + intDiv(r, 4) % 4] AS reason,
    toInt64(r % 90000000) AS estimate_nanousd, r % 50 = 0 AS dry_run, '' AS reservation,
    ['company-month', 'search-month', 'each-user-day'][1 + r % 3] AS binding_budget, 'org:acme' AS binding_scope,
    'month:2026-11' AS binding_window, 3 AS policy_version, 'genai-prices 0.2.3' AS price_version,
    '{}' AS explanation, 'enforcer-1' AS source, r % 12 AS ledger_partition, number AS ledger_offset,
    r % 12 AS topic_partition, number AS topic_offset
FROM (SELECT number, sipHash64(number, 9) AS r FROM numbers({count:UInt64}))
SETTINGS insert_deduplicate = 0
