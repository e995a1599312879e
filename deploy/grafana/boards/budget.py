"""One budget: what was settled of its limit, where it is heading, who was warned and who was turned away."""

from __future__ import annotations

from deploy.grafana.boards.variables import BUDGETS, ORGANIZATION, PERIOD, SCOPE
from deploy.grafana.model import UTILIZATION, Column, Dashboard, Panel, Row, Sql, Step, Unit
from deploy.grafana.sql import sql

_AS_OF = "As of the latest forecast in the chosen time."
_CHANCES = (Step(0.2, "yellow"), Step(0.5, "orange"), Step(0.8, "red"))
_LATEST = """
FROM
(
    SELECT *
    FROM forecasts FINAL
    WHERE @chosen(organization) AND @chosen(scope) AND @chosen(period = substringIndex(window, ':', 1))
      AND made_at <= ($__toTime)
    ORDER BY as_of DESC, begins DESC
    LIMIT 1
)
"""
_LIMITS = """
ARRAY JOIN risk_budgets AS budget, risk_limits AS limit_nanousd, risk_chances AS chance, risk_days AS day
WHERE @chosen(budget)
ORDER BY limit_nanousd, budget
LIMIT 1
"""
_PARTS = {"latest": _LATEST, "limits": _LIMITS}


def _stat(title: str, says: str, text: str, unit: Unit = "currencyUSD", *, steps: tuple[Step, ...] = ()) -> Panel:
    return Panel(title, f"{says} {_AS_OF}", "stat", (Sql(sql(text, **_PARTS)),), 4, height=4, unit=unit, steps=steps)


NUMBERS = Row(
    "Now",
    (
        _stat(
            "Settled", "What was charged to the scope in its window.", "SELECT @usd(spent_nanousd) AS settled @latest"
        ),
        _stat(
            "Limit",
            "The lowest limit among the chosen budgets.",
            "SELECT @usd(limit_nanousd) AS limit @latest @limits",
        ),
        Panel(
            "Utilization",
            f"Settled of that limit. {_AS_OF}",
            "gauge",
            (Sql(sql("SELECT spent_nanousd / nullIf(limit_nanousd, 0) AS utilization @latest @limits", **_PARTS)),),
            4,
            height=4,
            unit="percentunit",
            steps=UTILIZATION,
        ),
        _stat(
            "Projected total",
            "What the window is expected to come to.",
            "SELECT @usd(total_nanousd) AS total @latest",
        ),
        _stat(
            "Chance to exceed",
            "How likely the window ends above that limit.",
            "SELECT chance @latest @limits",
            "percentunit",
            steps=_CHANCES,
        ),
        _stat(
            "Runs out on",
            "The day on which the middle path crosses that limit; nothing where it does not.",
            "SELECT toDateTime(day, 'UTC') AS day @latest @limits",
            "dateTimeAsIso",
        ),
    ),
)
COURSE = Row(
    "Course",
    (
        Panel(
            "Settled and limit",
            "What was settled by the start of each day, and the lowest limit of the chosen budgets on that day. "
            "The line falls back where a new window begins.",
            "timeseries",
            (
                Sql(
                    sql("""
                        SELECT toDateTime(as_of, 'UTC') AS time, @usd(max(spent_nanousd)) AS settled,
                            @usd(min(lowest)) AS limit
                        FROM
                        (
                            SELECT as_of, spent_nanousd,
                                arrayMin(arrayMap(
                                    (budget, amount) -> if(@chosen(budget), amount, 9223372036854775807),
                                    risk_budgets, risk_limits
                                )) AS lowest
                            FROM forecasts FINAL
                            WHERE @chosen(organization) AND @chosen(scope)
                              AND @chosen(period = substringIndex(window, ':', 1))
                              AND as_of >= toDate($__fromTime, 'UTC')
                              AND as_of <= toDate($__toTime, 'UTC')
                              AND notEmpty(risk_budgets)
                        )
                        WHERE lowest < 9223372036854775807
                        GROUP BY time
                        ORDER BY time
                    """),
                    "timeseries",
                ),
            ),
            12,
            unit="currencyUSD",
            columns=(Column("limit", color="red", dashed=True),),
            least_interval="1d",
        ),
        Panel(
            "Where it is heading",
            "The latest forecast of the window: the middle, the 80% interval around it, and the limit. Dates beyond "
            "the chosen time are seen by choosing a range that ends later, such as this month.",
            "timeseries",
            (
                Sql(
                    sql(
                        """
                        SELECT toDateTime(fan_day, 'UTC') AS time, @usd(low) AS low, @usd(mid) AS middle,
                            @usd(high) AS high,
                            @usd(arrayMin(arrayMap(
                                (budget, amount) -> if(@chosen(budget), amount, 9223372036854775807),
                                risk_budgets, risk_limits
                            ))) AS limit
                        @latest
                        ARRAY JOIN fan_days AS fan_day, fan_low AS low, fan_mid AS mid, fan_high AS high
                        ORDER BY time
                    """,
                        **_PARTS,
                    ),
                    "timeseries",
                ),
            ),
            12,
            unit="currencyUSD",
            columns=(
                Column("limit", color="red", dashed=True),
                Column("low", color="blue"),
                Column("high", color="blue", fill_below_to="low"),
                Column("middle", color="blue"),
            ),
            least_interval="1d",
            link="/forecasts",
        ),
        Panel(
            "Spend of the scope by the hour",
            "From the hourly roll-up; for scopes of an organization, a project or a team. Others are in the console.",
            "timeseries",
            (
                Sql(
                    sql("""
                        WITH
                            @value(scope) AS wanted,
                            decodeURLComponent(extract(wanted, '(?:^|/)project:([^/]+)')) AS of_project,
                            decodeURLComponent(extract(wanted, '(?:^|/)team:([^/]+)')) AS of_team
                        SELECT $__timeInterval(hour) AS time, @usd(sum(cost_nanousd)) AS spend
                        FROM spend_by_hour
                        WHERE @chosen(organization)
                          AND NOT match(wanted, '(?:^|/)(?:user|provider|model|tag[.])')
                          AND (of_project = '' OR project = of_project)
                          AND (of_team = '' OR team = of_team)
                          AND hour >= toStartOfHour($__fromTime, 'UTC')
                          AND hour <= ($__toTime)
                        GROUP BY time
                        ORDER BY time
                    """),
                    "timeseries",
                ),
            ),
            24,
            unit="currencyUSD",
            least_interval="1h",
        ),
    ),
)
EVENTS = Row(
    "Warnings and refusals",
    (
        Panel(
            "Alerts",
            "Thresholds crossed and projections above the limit, the latest first.",
            "table",
            (
                Sql(
                    sql("""
                        SELECT raised_at AS raised, toString(severity) AS how_bad, toString(kind) AS what,
                            toString(budget) AS of_budget, toString(threshold) AS at, @usd(settled_nanousd) AS settled,
                            @usd(limit_nanousd) AS limit, probability AS chance, expected_on
                        FROM alerts FINAL
                        WHERE @chosen(organization) AND @chosen(scope) AND @chosen(budget)
                          AND $__timeFilter(raised_at)
                        ORDER BY raised DESC
                        LIMIT 100
                    """)
                ),
            ),
            12,
            columns=(
                Column("settled", unit="currencyUSD"),
                Column("limit", unit="currencyUSD"),
                Column("chance", unit="percentunit"),
            ),
            link="/alerts",
        ),
        Panel(
            "Refusals",
            "Requests that one of the chosen budgets denied or paced, by user and model: the twenty most frequent.",
            "table",
            (
                Sql(
                    sql("""
                        SELECT if(user = '', '(none)', user) AS name, toString(model) AS model_name,
                            toString(action) AS answer, count() AS times,
                            @usd(sum(ifNull(estimate_nanousd, 0))) AS asked_for
                        FROM decisions
                        WHERE @chosen(organization)
                          AND @chosen(scope = binding_scope)
                          AND @chosen(budget = binding_budget)
                          AND action IN ('deny', 'throttle') AND NOT dry_run
                          AND $__timeFilter(decided_at)
                        GROUP BY name, model_name, answer
                        ORDER BY times DESC, name, model_name
                        LIMIT 20
                    """)
                ),
            ),
            12,
            columns=(Column("asked_for", unit="currencyUSD"),),
            link="/decisions",
        ),
        Panel(
            "Refusals over time",
            "Requests that one of the chosen budgets denied or paced. Every one of them is kept, so this is no sample.",
            "timeseries",
            (
                Sql(
                    sql("""
                        SELECT $__timeInterval(decided_at) AS time, toString(action) AS answer, count() AS refused
                        FROM decisions
                        WHERE @chosen(organization)
                          AND @chosen(scope = binding_scope)
                          AND @chosen(budget = binding_budget)
                          AND action IN ('deny', 'throttle') AND NOT dry_run
                          AND $__timeFilter(decided_at)
                        GROUP BY time, answer
                        ORDER BY time, answer
                    """),
                    "timeseries",
                ),
            ),
            24,
            stacked=True,
            least_interval="1m",
        ),
    ),
)

BOARD = Dashboard(
    "spendgate-budget",
    "Spendgate / Budget",
    "One scope and its budgets: settled, limit, forecast, alerts and refusals.",
    (NUMBERS, COURSE, EVENTS),
    (ORGANIZATION, SCOPE, PERIOD, BUDGETS),
    since="now-30d",
    refresh="5m",
)
