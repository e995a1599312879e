"""Our words for a dashboard as the JSON that Grafana 12 reads."""

from __future__ import annotations

from typing import Any

from deploy.grafana.macros import ALL_CHOSEN
from deploy.grafana.model import (
    GRID_WIDTH,
    Column,
    Dashboard,
    Kind,
    Panel,
    Prom,
    Row,
    Sql,
    Step,
    Target,
    Unit,
    Variable,
)

Json = dict[str, Any]

CLICKHOUSE: Json = {"type": "grafana-clickhouse-datasource", "uid": "spendgate-clickhouse"}
PROMETHEUS: Json = {"type": "prometheus", "uid": "spendgate-prometheus"}
CONSOLE = "http://127.0.0.1:8083"
"""Where compose.yaml publishes the console; elsewhere, change the hidden variable `console`."""
SCHEMA = 41
_ROW_HEIGHT = 1
_FORMATS = {"timeseries": 0, "table": 1}
_DECIMALS: dict[Unit, int] = {"currencyUSD": 2, "percentunit": 1}


def encode(board: Dashboard) -> Json:
    """The dashboard as Grafana provisions it."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.says,
        "tags": ["spendgate"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": board.since, "to": "now"},
        "refresh": board.refresh,
        "annotations": {"list": []},
        "links": [_dashboards_link(), _link("Console", "")],
        "templating": {"list": [*map(_variable, board.variables), _console()]},
        "panels": _lay_out(board.rows),
    }


def _lay_out(rows: tuple[Row, ...]) -> list[Json]:
    """Panels from left to right, wrapped where the grid ends, below each row's heading."""
    laid: list[Json] = []
    y = 0
    for row in rows:
        laid.append(_heading(row, len(laid) + 1, y))
        y += _ROW_HEIGHT
        x = height = 0
        for panel in row.panels:
            if x + panel.width > GRID_WIDTH:
                x, y, height = 0, y + height, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            laid.append({"id": len(laid) + 1, "gridPos": place, **_panel(panel)})
            x += panel.width
            height = max(height, panel.height)
        y += height
    return laid


def _heading(row: Row, number: int, y: int) -> Json:
    place = {"x": 0, "y": y, "w": GRID_WIDTH, "h": _ROW_HEIGHT}
    return {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": place}


def _panel(panel: Panel) -> Json:
    encoded: Json = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": _source(panel.targets[0]),
        "targets": [_target(target, chr(ord("A") + place), panel.kind) for place, target in enumerate(panel.targets)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": [_override(column) for column in panel.columns]},
        "options": _options(panel),
        "links": [] if panel.link is None else [_link("Open in the console", panel.link)],
    }
    return encoded if panel.least_interval is None else {**encoded, "interval": panel.least_interval}


def _source(target: Target) -> Json:
    return CLICKHOUSE if isinstance(target, Sql) else PROMETHEUS


def _target(target: Target, ref: str, kind: Kind) -> Json:
    match target:
        case Sql(text, shape):
            return {
                "refId": ref,
                "datasource": CLICKHOUSE,
                "editorType": "sql",
                "queryType": shape,
                "format": _FORMATS[shape],
                "rawSql": text,
            }
        case Prom(expr, legend):
            return {
                "refId": ref,
                "datasource": PROMETHEUS,
                "editorMode": "code",
                "expr": expr,
                "legendFormat": legend,
                "range": kind == "timeseries",
                "instant": kind != "timeseries",
            }


def _defaults(panel: Panel) -> Json:
    custom: Json = {}
    if panel.kind == "timeseries":
        custom = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 8,
            "showPoints": "auto",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
        }
    decimals = panel.decimals if panel.decimals is not None else _DECIMALS.get(panel.unit)
    defaults: Json = {
        "unit": panel.unit,
        "custom": custom,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": _thresholds(panel.steps),
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    return {**defaults, "min": 0, "max": 1.2} if panel.kind == "gauge" else defaults


def _thresholds(steps: tuple[Step, ...]) -> Json:
    base = [{"color": "green", "value": None}]
    return {"mode": "absolute", "steps": [*base, *[{"color": step.color, "value": step.value} for step in steps]]}


def _override(column: Column) -> Json:
    properties: list[tuple[str, Any]] = []
    if column.unit is not None:
        properties.append(("unit", column.unit))
        decimals = _DECIMALS.get(column.unit) if column.decimals is None else column.decimals
        properties += [] if decimals is None else [("decimals", decimals)]
    if column.color is not None:
        properties.append(("color", {"mode": "fixed", "fixedColor": column.color}))
    if column.dashed:
        properties.append(("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}))
    if column.fill_below_to is not None:
        properties.append(("custom.fillBelowTo", column.fill_below_to))
    if column.gauge:
        properties.append(("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}))
        properties += [("min", 0), *([("max", 1)] if column.unit == "percentunit" else [])]
    elif column.steps:
        properties.append(("custom.cellOptions", {"type": "color-text"}))
    if column.steps:
        properties += [("thresholds", _thresholds(column.steps)), ("color", {"mode": "thresholds"})]
    return {
        "matcher": {"id": "byName", "options": column.name},
        "properties": [{"id": name, "value": value} for name, value in properties],
    }


def _options(panel: Panel) -> Json:
    match panel.kind:
        case "stat" | "gauge":
            fields = "/.*/" if panel.unit == "dateTimeAsIso" else ""  # by default only numbers are shown
            shown: Json = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": fields, "values": False}}
            return shown if panel.kind == "gauge" else {**shown, "colorMode": "value", "graphMode": "none"}
        case "table":
            return {"showHeader": True, "cellHeight": "sm"}
        case _:
            legend = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def _variable(variable: Variable) -> Json:
    encoded: Json = {"name": variable.name, "label": variable.label, "hide": 0}
    if not variable.query:
        return {**encoded, "type": "textbox", "query": variable.default, "current": _current(variable.default)}
    return {
        **encoded,
        "type": "query",
        "datasource": CLICKHOUSE,
        "query": variable.query,
        "definition": variable.query,
        "refresh": 2,  # when the range changes
        "sort": 0,
        "multi": variable.multi,
        "includeAll": variable.everything,
        "allValue": ALL_CHOSEN if variable.everything else None,
        "allowCustomValue": False,
        "current": {"text": ["All"], "value": ["$__all"]} if variable.everything else {},
    }


def _current(value: str) -> Json:
    return {"text": value, "value": value}


def _console() -> Json:
    return {"name": "console", "type": "constant", "hide": 2, "query": CONSOLE, "current": _current(CONSOLE)}


def _link(title: str, path: str) -> Json:
    return {
        "title": title,
        "type": "link",
        "url": f"${{console:raw}}{path}",
        "icon": "external link",
        "targetBlank": True,
    }


def _dashboards_link() -> Json:
    return {
        "title": "Spendgate",
        "type": "dashboards",
        "tags": ["spendgate"],
        "asDropdown": True,
        "keepTime": True,
        "includeVars": True,
    }
