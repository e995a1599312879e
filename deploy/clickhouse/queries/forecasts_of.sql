-- forecasts_of: what the scopes of an organization are expected to spend in the windows of now, the newest forecast of each
-- parameter organization String: whose forecasts
-- parameter scope String: only this scope; empty for all
-- parameter window String: only this window, as month:2026-11, or windows of this kind, as month; empty for all
-- parameter since_ms Int64: only windows that end after this instant, in UTC milliseconds
-- parameter most UInt32: rows at most
-- parameter skip UInt32: rows to leave out first: those of the pages before
SELECT forecast, scope, window, as_of, begins, ends, spent_nanousd, total_nanousd, low_nanousd, high_nanousd,
       fan_days, fan_low, fan_mid, fan_high, risk_budgets, risk_limits, risk_chances, risk_days, models,
       toUnixTimestamp64Milli(made_at) AS made_at_ms
FROM
(
    SELECT * FROM forecasts FINAL
    WHERE organization = {organization:String}
      AND ({scope:String} = '' OR scope = {scope:String})
      AND ({window:String} = '' OR window = {window:String} OR startsWith(window, concat({window:String}, ':')))
      AND ends > toDate(fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC'), 'UTC') - 1
    ORDER BY scope, window, as_of DESC
    LIMIT 1 BY scope, window
)
ORDER BY window, total_nanousd DESC, scope
LIMIT {most:UInt32} OFFSET {skip:UInt32}
-- example: {"organization": "acme", "scope": "", "window": "month", "since_ms": 1795478400000, "most": 100, "skip": 0}
