-- invoice_charges: the charges of one model in a stretch of time, each as it stands after its own corrections
-- parameter organization String: whose charges
-- parameter begin_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter provider String: the provider as the charges have it; empty where they have none
-- parameter model String: the model as the charges have it
-- An estimate and what it was settled to are one charge, the estimate's. `corrected` is the last correction of it, if any.
SELECT
    argMin(charges.charge, charges.sequence) AS charge,
    any(charges.project) AS project,
    any(charges.team) AS team,
    any(charges.user) AS user,
    any(charges.tags) AS tags,
    toUnixTimestamp64Milli(min(charges.charged_at)) AS charged_at_ms,
    sum(charges.cost_nanousd) AS cost_nanousd,
    sum(charges.input_tokens + charges.output_tokens) AS tokens,
    any(corrections.after) AS corrected
FROM charges
LEFT JOIN
(
    SELECT subject, argMax(after, (ledger_offset, ledger_index)) AS after
    FROM audit FINAL
    WHERE organization = {organization:String} AND action = 'usage.corrected'
    GROUP BY subject
) AS corrections ON corrections.subject = charges.charge
WHERE charges.organization = {organization:String}
  AND charges.charged_at >= fromUnixTimestamp64Milli({begin_ms:Int64})
  AND charges.charged_at < fromUnixTimestamp64Milli({end_ms:Int64})
  AND charges.provider = {provider:String} AND charges.model = {model:String} AND charges.kind <> 'correction'
GROUP BY if(charges.reservation = '', charges.charge, charges.reservation)
ORDER BY charged_at_ms, charge
-- example: {"organization": "acme", "begin_ms": 1795478400000, "end_ms": 1795564800000, "provider": "openai", "model": "gpt-4o"}
