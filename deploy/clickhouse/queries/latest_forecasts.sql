-- latest_forecasts: the last forecast of each scope and window that was made by a day, of windows in a range of days.
-- parameter organization String: whose forecasts
-- parameter scope String: of this scope only; empty for all
-- parameter from Date: of windows that end after this day
-- parameter until Date: and begin before this day
-- parameter as_of Date: made by this day
SELECT
    scope, window, as_of, begins, ends, spent_nanousd, total_nanousd, low_nanousd, high_nanousd,
    risk_budgets, risk_limits, risk_chances, risk_days, models
FROM forecasts FINAL
WHERE organization = {organization:String} AND ({scope:String} = '' OR scope = {scope:String})
  AND ends > {from:Date} AND begins < {until:Date} AND as_of <= {as_of:Date}
ORDER BY as_of DESC
LIMIT 1 BY scope, window
-- example: {"organization": "acme", "scope": "", "from": "2026-11-24", "until": "2026-12-01", "as_of": "2026-11-30"}
