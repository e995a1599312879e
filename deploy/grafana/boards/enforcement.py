"""Enforcement: what was decided and why, how fast, from which shares, and whether anything was overspent."""

from __future__ import annotations

from deploy.grafana.boards.variables import ORGANIZATIONS, PROJECTS
from deploy.grafana.model import ANY_IS_BAD, Column, Dashboard, Panel, Prom, Row, Sql, Step, Unit
from deploy.grafana.sql import sql

_SAMPLED = "Refusals are all kept; what was allowed is kept as a sample, so compare refusals, not shares of the whole."
_DECIDED = """
FROM decisions
WHERE @chosen(organization) AND @chosen(project) AND NOT dry_run
  AND $__timeFilter(decided_at)
"""
_ASKS = 'route=~"/v1/check|/v1/settle|/v1/release|.*auth.*"'


def _decisions(title: str, says: str, column: str, width: int) -> Panel:
    text = "SELECT $__timeInterval(decided_at) AS time, toString(@column) AS name, count() AS decisions @decided "
    target = Sql(sql(text + "GROUP BY time, name ORDER BY time, name", column=column, decided=_DECIDED), "timeseries")
    return Panel(
        title,
        f"{says} {_SAMPLED}",
        "timeseries",
        (target,),
        width,
        stacked=True,
        least_interval="1m",
        link="/decisions",
    )


def _prom(
    title: str, says: str, *targets: Prom, unit: Unit = "short", width: int = 8, steps: tuple[Step, ...] = ()
) -> Panel:
    return Panel(title, says, "timeseries", targets, width, unit=unit, steps=steps)


def _quantiles(metric: str, by: str = "") -> tuple[Prom, ...]:
    among = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple(
        Prom(
            f"histogram_quantile({quantile}, sum by ({among}) (rate({metric}_bucket[$__rate_interval])))",
            f"{name}{legend}",
        )
        for name, quantile in (("p50", "0.5"), ("p99", "0.99"))
    )


DECISIONS = Row(
    "Decisions",
    (
        _decisions("By action", "Allow, fallback, throttle, deny.", "action", 8),
        _decisions("By tier", "Normal, soft, throttle, hard, grace.", "tier", 8),
        _decisions("By reason", "Why it was decided so.", "reason", 8),
        Panel(
            "Denials by budget",
            "Which budget had no room, and what was asked of it: the thirty that denied most.",
            "table",
            (
                Sql(
                    sql(
                        """
                        SELECT toString(organization) AS org, toString(binding_budget) AS budget,
                            binding_scope AS scope,
                            toString(reason) AS why, count() AS denials, uniqExact(user) AS users,
                            @usd(sum(ifNull(estimate_nanousd, 0))) AS asked_for
                        @decided AND action = 'deny'
                        GROUP BY org, budget, scope, why
                        ORDER BY denials DESC, org, budget, scope, why
                        LIMIT 30
                        """,
                        decided=_DECIDED,
                    )
                ),
            ),
            12,
            columns=(Column("asked_for", unit="currencyUSD"),),
            link="/decisions",
        ),
        Panel(
            "Latest refusals",
            "The fifty latest denials and throttles; `spendgate explain` tells all about each.",
            "table",
            (
                Sql(
                    sql(
                        """
                        SELECT decided_at AS at, toString(action) AS answer, toString(reason) AS why,
                            toString(organization) AS org, user AS who, toString(model) AS model_name,
                            toString(binding_budget) AS budget, @usd(estimate_nanousd) AS estimate, decision
                        @decided AND action IN ('deny', 'throttle')
                        ORDER BY decided_at DESC
                        LIMIT 50
                        """,
                        decided=_DECIDED,
                    )
                ),
            ),
            12,
            columns=(Column("estimate", unit="currencyUSD", decimals=6),),
            link="/decisions",
        ),
    ),
)
SPEED = Row(
    "Speed",
    (
        _prom(
            "Checks per second",
            "Requests that enforcers answered, by transport: HTTP, RPC, Envoy's gRPC.",
            Prom(f"sum by (route) (rate(spendgate_http_requests_total{{{_ASKS}}}[$__rate_interval]))", "{{route}}"),
            Prom("sum by (method) (rate(spendgate_rpc_requests_total[$__rate_interval]))", "rpc {{method}}"),
            Prom("sum(rate(spendgate_grpc_requests_total[$__rate_interval]))", "grpc"),
            unit="reqps",
        ),
        _prom(
            "Time to answer over HTTP",
            "From the request's arrival at the enforcer to its answer, by route.",
            *[
                Prom(
                    f"histogram_quantile({quantile}, sum by (le, route) "
                    f"(rate(spendgate_http_request_seconds_bucket{{{_ASKS}}}[$__rate_interval])))",
                    f"{name} {{{{route}}}}",
                )
                for name, quantile in (("p50", "0.5"), ("p99", "0.99"))
            ],
            unit="s",
        ),
        _prom(
            "Time to answer over RPC",
            "From the frame's arrival to its answer, by method.",
            *_quantiles("spendgate_rpc_request_seconds", "method"),
            unit="s",
        ),
        _prom(
            "Refusals per second",
            "Denied by reason, and throttled, dry runs among them, of all organizations.",
            Prom("sum by (reason) (rate(spendgate_denials_total[$__rate_interval]))", "denied: {{reason}}"),
            Prom("sum(rate(spendgate_throttles_total[$__rate_interval]))", "throttled"),
            unit="ops",
        ),
        _prom(
            "Reservations",
            "In flight, and how they ended: settled, released by the gateway, or expired because nobody settled.",
            Prom("sum(spendgate_reservations)", "in flight"),
            Prom("sum by (fate) (rate(spendgate_reservations_closed_total[$__rate_interval]))", "{{fate}} per second"),
        ),
        _prom(
            "Decisions lost to the topic",
            "Published, and dropped because too many were waiting. What was dropped was enforced all the same.",
            Prom("sum(rate(spendgate_decisions_published_total[$__rate_interval]))", "published"),
            Prom("sum(rate(spendgate_decisions_dropped_total[$__rate_interval]))", "dropped"),
            unit="ops",
        ),
    ),
)
SHARES = Row(
    "Shares of budgets",
    (
        _prom(
            "Claims",
            "Balances claimed from or given back to the ledger, and checks decided without its answer.",
            Prom("sum(rate(spendgate_claims_total[$__rate_interval]))", "claims"),
            Prom("sum(rate(spendgate_claims_unanswered_total[$__rate_interval]))", "unanswered"),
            unit="ops",
        ),
        _prom(
            "Waiting for a share",
            "How long checks waited: a cold balance, or one that runs short.",
            *_quantiles("spendgate_claim_wait_seconds"),
            unit="s",
        ),
        _prom(
            "Held by enforcers",
            "What may still be reserved of all shares, in dollars, by enforcer.",
            Prom("sum by (instance) (spendgate_shares_nanousd) / 1e9", "{{instance}}"),
            unit="currencyUSD",
        ),
    ),
)
OVERSPEND = Row(
    "What was spent beyond a limit",
    tuple(
        Panel(
            title,
            f"{says} Zero is the promise when nobody breaks a rule; the sum of these five bounds all overspend.",
            "stat",
            (Prom(f"sum(increase(spendgate_overspend_{why}_nanousd_total[$__range])) / 1e9"),),
            width,
            height=4,
            unit="currencyUSD",
            steps=ANY_IS_BAD,
        )
        for title, why, width, says in (
            ("Never reserved", "unreserved", 5, "Charged to blocking budgets through no share of them."),
            ("Overdrawn", "overdrawn", 5, "Spent beyond a share that covered less."),
            ("Reclaimed", "reclaimed", 5, "Shares taken back from enforcers that fell silent."),
            ("Shrunk", "shrunk", 5, "Shares beyond a limit when it was made smaller."),
            ("Overrun", "overrun", 4, "What settlements cost beyond what was reserved."),
        )
    ),
)

BOARD = Dashboard(
    "spendgate-enforcement",
    "Spendgate / Enforcement",
    "Decisions by action, tier and reason, the budgets that deny, latency, shares, and any overspend.",
    (DECISIONS, SPEED, SHARES, OVERSPEND),
    (ORGANIZATIONS, PROJECTS),
    since="now-6h",
    refresh="30s",
)
