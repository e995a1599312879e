-- Spending of an organization by project, team, provider, model or day (UTC): whole hours from the roll-up, and what
-- is left of the period at its edges from the charges. The name is empty where a charge has none.
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end,
    toStartOfHour(start + INTERVAL 3599999 MILLISECOND) AS first_hour,
    toStartOfHour(end) AS end_hour
SELECT
    multiIf(
        {dimension:String} = 'project', toString(project),
        {dimension:String} = 'team', if(team = '', '', concat(project, '/', team)),
        {dimension:String} = 'provider', toString(provider),
        {dimension:String} = 'model', toString(model),
        toString(toDate(at, 'UTC'))
    ) AS name,
    sum(cost) AS cost_nanousd,
    sum(parts.requests) AS requests,
    sum(parts.unpriced) AS unpriced,
    sum(parts.input_tokens) AS input_tokens,
    sum(parts.output_tokens) AS output_tokens
FROM
(
    SELECT
        toDateTime64(hour, 3, 'UTC') AS at, project, team, provider, model,
        cost_nanousd AS cost, requests, unpriced, input_tokens, output_tokens
    FROM spend_by_hour
    WHERE organization = {organization:String} AND hour >= first_hour AND hour < end_hour
    UNION ALL
    SELECT
        charged_at AS at, project, team, provider, model,
        ifNull(cost_nanousd, 0) AS cost, requests, unpriced, input_tokens, output_tokens
    FROM charges
    WHERE organization = {organization:String} AND charged_at >= start AND charged_at < end
      AND (charged_at < first_hour OR charged_at >= end_hour)
) AS parts
GROUP BY name
ORDER BY cost_nanousd DESC, name
