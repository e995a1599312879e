-- Spending of an organization by user: whole days (UTC) from the roll-up, and what is left of the period at its edges from
-- the charges. The name is empty where a charge has none.
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end,
    toDate(start + INTERVAL 86399999 MILLISECOND, 'UTC') AS first_day,
    toDate(end, 'UTC') AS end_day
SELECT
    parts.user AS name,
    sum(cost) AS cost_nanousd,
    sum(parts.requests) AS requests,
    sum(parts.unpriced) AS unpriced,
    sum(parts.input_tokens) AS input_tokens,
    sum(parts.output_tokens) AS output_tokens
FROM
(
    SELECT user, cost_nanousd AS cost, requests, unpriced, input_tokens, output_tokens
    FROM spend_by_day_user
    WHERE organization = {organization:String} AND day >= first_day AND day < end_day
    UNION ALL
    SELECT user, ifNull(cost_nanousd, 0) AS cost, requests, unpriced, input_tokens, output_tokens
    FROM charges
    WHERE organization = {organization:String} AND charged_at >= start AND charged_at < end
      AND (toDate(charged_at, 'UTC') < first_day OR toDate(charged_at, 'UTC') >= end_day)
) AS parts
GROUP BY name
ORDER BY cost_nanousd DESC, name
