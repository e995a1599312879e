-- Spending of an organization by the values of one tag: whole days (UTC) from the roll-up, and what is left of the period at
-- its edges from the charges. The roll-up knows no charges without the tag: theirs is the whole spending of those days
-- less the tagged, under the empty name, so that the rows add up to everything that was spent.
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end,
    toDate(start + INTERVAL 86399999 MILLISECOND, 'UTC') AS first_day,
    toDate(end, 'UTC') AS end_day
SELECT
    name,
    sum(cost) AS cost_nanousd,
    sum(parts.requests) AS requests,
    sum(parts.unpriced) AS unpriced,
    sum(parts.input) AS input_tokens,
    sum(parts.output) AS output_tokens
FROM
(
    SELECT
        arrayJoin([value, '']) AS name, if(name = value, 1, -1) AS sign,
        sign * cost_nanousd AS cost, sign * requests AS requests, sign * unpriced AS unpriced,
        sign * toInt64(input_tokens) AS input, sign * toInt64(output_tokens) AS output
    FROM spend_by_day_tag
    WHERE organization = {organization:String} AND tag = {tag:String} AND day >= first_day AND day < end_day
      AND value != ''
    UNION ALL
    SELECT
        '' AS name, 1 AS sign, cost_nanousd AS cost, requests, unpriced,
        toInt64(input_tokens) AS input, toInt64(output_tokens) AS output
    FROM spend_by_hour
    WHERE organization = {organization:String} AND hour >= toDateTime(first_day, 'UTC') AND hour < toDateTime(end_day, 'UTC')
    UNION ALL
    SELECT
        tags[{tag:String}] AS name, 1 AS sign, ifNull(cost_nanousd, 0) AS cost, requests, unpriced,
        toInt64(input_tokens) AS input, toInt64(output_tokens) AS output
    FROM charges
    WHERE organization = {organization:String} AND charged_at >= start AND charged_at < end
      AND (toDate(charged_at, 'UTC') < first_day OR toDate(charged_at, 'UTC') >= end_day)
) AS parts
GROUP BY name
HAVING name != '' OR cost_nanousd != 0 OR requests != 0 OR unpriced != 0 OR input_tokens != 0 OR output_tokens != 0
ORDER BY cost_nanousd DESC, name
