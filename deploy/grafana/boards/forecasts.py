"""Forecasts: what is expected, how sure that is, how well earlier forecasts did, and what surprised."""

from __future__ import annotations

from deploy.grafana.boards.outlook import LATEST
from deploy.grafana.boards.variables import ORGANIZATION, PERIOD, SCOPE, ZONE
from deploy.grafana.model import UTILIZATION, Column, Dashboard, Panel, Row, Sql, Step
from deploy.grafana.sql import sql

_MONEY = tuple(Column(name, unit="currencyUSD") for name in ("spent", "expected", "low", "high", "limit"))
_KEPT = (Step(0.0, "red"), Step(0.7, "yellow"), Step(0.76, "green"))
_ENDED = """
FROM forecasts
WHERE @chosen(organization) AND @chosen(scope)
  AND @chosen(period = substringIndex(window, ':', 1))
  AND ends <= toDate($__toTime, 'UTC')
  AND ends >= toDate($__fromTime, 'UTC')
"""
# What the scope of an organization, project or team came to in each window, in that calendar. The hours are bounded by
# the windows first: what is outside of them is most of the roll-up.
_CAME_TO = """
(
    SELECT begins, ends, window, sum(cost_nanousd) AS actual
    FROM (SELECT DISTINCT begins, ends, window @ended) AS windows
    CROSS JOIN
    (
        WITH
            @value(scope) AS wanted,
            decodeURLComponent(extract(wanted, '(?:^|/)project:([^/]+)')) AS of_project,
            decodeURLComponent(extract(wanted, '(?:^|/)team:([^/]+)')) AS of_team
        SELECT hour, sum(cost_nanousd) AS cost_nanousd
        FROM spend_by_hour
        WHERE @chosen(organization)
          AND NOT match(wanted, '(?:^|/)(?:user|provider|model|tag[.])')
          AND (of_project = '' OR project = of_project)
          AND (of_team = '' OR team = of_team)
          AND hour >= toDateTime((SELECT min(begins) @ended), @value(zone))
          AND hour < toDateTime((SELECT max(ends) @ended), @value(zone))
        GROUP BY hour
    ) AS spent
    WHERE hour >= toDateTime(begins, @value(zone)) AND hour < toDateTime(ends, @value(zone))
    GROUP BY begins, ends, window
)
"""
_JUDGED = """
FROM
(
    SELECT *
    FROM forecasts FINAL
    WHERE @chosen(organization) AND @chosen(scope) AND begins < as_of
) AS told
INNER JOIN @came_to AS outcome USING (begins, ends, window)
"""
_PARTS = {"judged": _JUDGED, "came_to": _CAME_TO, "ended": _ENDED}
_OVER = "Windows that ended in the chosen time; for scopes of an organization, project or team."

EXPECTED = Row(
    "Expected",
    (
        Panel(
            "Projections and risks",
            "The latest forecast of every scope in the chosen time, with its 80% interval and the budgets it meets.",
            "table",
            (
                Sql(
                    sql(
                        """
                        SELECT scope, toString(window) AS per, as_of, ends, @usd(spent_nanousd) AS spent,
                            @usd(total_nanousd) AS expected, @usd(low_nanousd) AS low, @usd(high_nanousd) AS high,
                            budget, @usd(limit_nanousd) AS limit, total_nanousd / nullIf(limit_nanousd, 0) AS of_limit,
                            if(budget = '', NULL, chance) AS chance_to_exceed, day AS runs_out, models
                        @latest
                        LEFT ARRAY JOIN risk_budgets AS budget, risk_limits AS limit_nanousd, risk_chances AS chance,
                            risk_days AS day
                        ORDER BY chance_to_exceed DESC, total_nanousd DESC, scope, budget
                        LIMIT 200
                    """,
                        latest=LATEST,
                    )
                ),
            ),
            24,
            height=10,
            columns=(
                *_MONEY,
                Column("of_limit", unit="percentunit", steps=UTILIZATION),
                Column("chance_to_exceed", unit="percentunit", gauge=True),
            ),
            link="/forecasts",
        ),
        Panel(
            "How the projection moved",
            "What the chosen scope's window was expected to come to, as of each day, with the 80% interval, and what "
            "was spent by then. An interval that narrows around a steady line is a good one.",
            "timeseries",
            (
                Sql(
                    sql("""
                        SELECT toDateTime(as_of, 'UTC') AS time, @usd(max(spent_nanousd)) AS spent,
                            @usd(max(low_nanousd)) AS low, @usd(max(total_nanousd)) AS expected,
                            @usd(max(high_nanousd)) AS high
                        FROM forecasts FINAL
                        WHERE @chosen(organization) AND @chosen(scope)
                          AND @chosen(period = substringIndex(window, ':', 1))
                          AND as_of >= toDate($__fromTime, 'UTC')
                          AND as_of <= toDate($__toTime, 'UTC')
                        GROUP BY time
                        ORDER BY time
                    """),
                    "timeseries",
                ),
            ),
            12,
            unit="currencyUSD",
            columns=(
                Column("spent", color="green"),
                Column("low", color="blue"),
                Column("high", color="blue", fill_below_to="low"),
                Column("expected", color="blue"),
            ),
            least_interval="1d",
        ),
        Panel(
            "Chance to exceed",
            "For each budget of the chosen scope, as of each day.",
            "timeseries",
            (
                Sql(
                    sql("""
                        SELECT toDateTime(as_of, 'UTC') AS time, budget, max(chance) AS probability
                        FROM
                        (
                            SELECT as_of, risk_budgets, risk_chances
                            FROM forecasts FINAL
                            WHERE @chosen(organization) AND @chosen(scope)
                              AND @chosen(period = substringIndex(window, ':', 1))
                              AND as_of >= toDate($__fromTime, 'UTC')
                              AND as_of <= toDate($__toTime, 'UTC')
                        )
                        ARRAY JOIN risk_budgets AS budget, risk_chances AS chance
                        GROUP BY time, budget
                        ORDER BY time, budget
                    """),
                    "timeseries",
                ),
            ),
            12,
            unit="percentunit",
            steps=(Step(0.5, "orange"), Step(0.8, "red")),
            least_interval="1d",
        ),
    ),
)
JUDGED = Row(
    "How earlier forecasts did",
    (
        Panel(
            "Projected and actual",
            f"What windows came to, and what was expected at their middle. {_OVER}",
            "table",
            (
                Sql(
                    sql(
                        """
                        SELECT begins, ends, toString(window) AS per, @usd(any(actual)) AS spent,
                            @usd(argMin(total_nanousd, distance)) AS expected,
                            @usd(argMin(low_nanousd, distance)) AS low,
                            @usd(argMin(high_nanousd, distance)) AS high,
                            (argMin(total_nanousd, distance) - any(actual)) / nullIf(any(actual), 0) AS error
                        FROM
                        (
                            SELECT *,
                                abs(2 * dateDiff('day', begins, as_of) - dateDiff('day', begins, ends)) AS distance
                            @judged
                        )
                        GROUP BY begins, ends, per
                        ORDER BY begins DESC, per
                        LIMIT 60
                        """,
                        **_PARTS,
                    )
                ),
            ),
            12,
            columns=(*_MONEY, Column("error", unit="percentunit")),
        ),
        Panel(
            "Error by days left",
            f"The mean miss of the projected total, of what the window came to (WAPE), by days left. {_OVER}",
            "table",
            (
                Sql(
                    sql(
                        """
                        SELECT dateDiff('day', as_of, ends) AS days_left,
                            sum(abs(total_nanousd - actual)) / nullIf(sum(abs(actual)), 0) AS wape,
                            avg(low_nanousd <= actual AND actual <= high_nanousd) AS kept, count() AS forecasts_made
                        @judged
                        GROUP BY days_left
                        ORDER BY days_left DESC
                        LIMIT 100
                        """,
                        **_PARTS,
                    )
                ),
            ),
            8,
            columns=(Column("wape", unit="percentunit", gauge=True), Column("kept", unit="percentunit")),
        ),
        Panel(
            "Interval kept",
            f"How often the 80% interval held what came: 76% to 84% is honest. {_OVER}",
            "stat",
            (
                Sql(
                    sql(
                        "SELECT avg(low_nanousd <= actual AND actual <= high_nanousd) AS kept @judged",
                        **_PARTS,
                    )
                ),
            ),
            4,
            unit="percentunit",
            steps=_KEPT,
        ),
    ),
)
SURPRISES = Row(
    "Surprises",
    (
        Panel(
            "Anomalies",
            "Hours that were unlike the scope's own past, with what moved most.",
            "table",
            (
                Sql(
                    sql("""
                        SELECT hour AS at, scope, toString(kind) AS what, toString(severity) AS how_bad,
                            @usd(observed_nanousd) AS spent, @usd(expected_nanousd) AS expected, score,
                            arrayStringConcat(
                                arrayMap((name, value) -> concat(name, ' ', value), dimensions, values), ', '
                            ) AS moved
                        FROM anomalies FINAL
                        WHERE @chosen(organization)
                          AND $__timeFilter(hour)
                        ORDER BY at DESC, spent DESC
                        LIMIT 100
                    """)
                ),
            ),
            16,
            columns=_MONEY,
            link="/anomalies",
        ),
        Panel(
            "Anomalies per day",
            "By kind: a spike is one hour, a shift a new level, a ramp a slow climb.",
            "timeseries",
            (
                Sql(
                    sql("""
                        SELECT toDateTime(toStartOfDay(hour), 'UTC') AS time, toString(kind) AS what, count() AS found
                        FROM anomalies FINAL
                        WHERE @chosen(organization)
                          AND $__timeFilter(hour)
                        GROUP BY time, what
                        ORDER BY time, what
                    """),
                    "timeseries",
                ),
            ),
            8,
            stacked=True,
            least_interval="1d",
        ),
    ),
)

BOARD = Dashboard(
    "spendgate-forecasts",
    "Spendgate / Forecasts",
    "What windows are expected to come to, how sure that is, how earlier forecasts did, and anomalies.",
    (EXPECTED, JUDGED, SURPRISES),
    (ORGANIZATION, SCOPE, PERIOD, ZONE),
    since="now-90d",
    refresh="5m",
)
