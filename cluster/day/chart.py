"""The day as a picture: price, net power with and without control, storage, and who gave and drew.

Labels are bilingual where a font with Chinese signs is installed, English otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import matplotlib as mpl
import numpy as np
from matplotlib import dates, font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cluster.day.report import DayReport, Metered, ReportInterval
from cluster.day.series import HOUR
from controllers.resources.twin import FloatArray

_CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
)
_WITH, _WITHOUT, _PRICE, _PLAN, _STORE = "#0b6e4f", "#9aa0a6", "#8a4fff", "#e07a1f", "#1f77b4"
_KIND_COLOURS = {
    "pv": ("#f6c445", "#e0a100", "#fbe08f", "#c98b00"),
    "wind": ("#7fc8c2", "#4aa39c"),
    "chp": ("#b07d62", "#8a5a42"),
    "battery": ("#1f77b4", "#5aa2d6", "#93c5ea", "#155a8a"),
    "flexible_load": ("#6c757d", "#8f979e", "#b4babf", "#4f575e"),
    "ev_station": ("#d1495b", "#e27c89"),
    "heat_pump": ("#c06c9f", "#d99bc0"),
    "fleet": ("#8e6bbf",),
}
Values = Sequence[float] | FloatArray

_SIZE_IN, _DPI = (11.0, 11.5), 130
_MOST_NAMED = 18


class _Words(NamedTuple):
    """Labels in the languages the fonts allow."""

    bilingual: bool

    def __call__(self, english: str, chinese: str) -> str:
        return f"{english} · {chinese}" if self.bilingual else english


def draw_chart(report: DayReport, path: Path) -> None:
    """Write the picture as PNG.

    Args:
        report: of at least one interval.
        path: of the file.
    """
    font = _chinese_font()
    families = ["DejaVu Sans"] if font is None else [font, "DejaVu Sans"]
    with mpl.rc_context({"font.family": families, "font.size": 9, "axes.unicode_minus": False}):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        FigureCanvasAgg(figure)
        has_store = any(i.controlled.stored_kwh for i in report.intervals)
        heights = [1.0, 1.5, 1.0, 1.7] if has_store else [1.0, 1.5, 1.7]
        axes: list[Axes] = list(
            figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        )
        words, zone = _Words(font is not None), ZoneInfo(report.park.timezone)
        edges = _edges(report)
        figure.suptitle(_title(report, words), fontsize=12, fontweight="bold")
        _prices(axes[0], report, edges, words)
        _net(axes[1], report, edges, words)
        if has_store:
            _stores(axes[2], report, edges, words)
        _stack(axes[-1], report, edges, words)
        for axis in axes:
            _frame(axis, edges, zone)
        axes[-1].set_xlabel(words("local time", "当地时间") + f" ({report.park.timezone})")
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _chinese_font() -> str | None:
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return next((name for name in _CHINESE_FONTS if name in installed), None)


def _title(report: DayReport, words: _Words) -> str:
    saved = -report.difference.cost_less_stored.amount
    line = f"{report.park.name}, {report.day:%Y-%m-%d}: "
    line += words("saved by control", "控制节省") + f" {saved:.2f} {report.currency}"
    return line if report.complete else f"{line}  [{words('INCOMPLETE', '未完成')}]"


def _edges(report: DayReport) -> list[datetime]:
    return [*(i.start_at for i in report.intervals), report.intervals[-1].end_at]


def _prices(axis: Axes, report: DayReport, edges: list[datetime], words: _Words) -> None:
    buying = [float(i.import_price_per_mwh) for i in report.intervals]
    selling = [float(i.export_price_per_mwh) for i in report.intervals]
    same = buying == selling
    name = words("price", "电价") if same else words("buying", "购电价")
    _steps(axis, edges, buying, color=_PRICE, label=name, lw=1.8)
    if not same:
        label = words("selling", "售电价")
        _steps(axis, edges, selling, color=_PRICE, label=label, lw=1.2, ls="--")
    axis.set_ylabel(f"{report.currency}/MWh")
    axis.set_title(words("Price", "电价"), loc="left")
    if not same:
        _keep_clear(axis)
        axis.legend(loc="upper left", frameon=False, ncols=2)


def _net(axis: Axes, report: DayReport, edges: list[datetime], words: _Words) -> None:
    hours = np.array([(i.end_at - i.start_at) / HOUR for i in report.intervals])
    without = _per_interval(report, "uncontrolled") / hours
    with_ = _per_interval(report, "controlled") / hours
    day_ahead = [i.day_ahead_net_kw for i in report.intervals]
    planned = [np.nan if net_kw is None else net_kw for net_kw in day_ahead]
    label = words("without control", "无控制")
    _steps(axis, edges, without, color=_WITHOUT, label=label, fill=True)
    _steps(axis, edges, with_, color=_WITH, label=words("with control", "有控制"), lw=1.9)
    label = words("planned at midnight", "零点计划")
    _steps(axis, edges, planned, color=_PLAN, label=label, lw=1.0, ls=":")
    axis.axhline(0.0, color="black", lw=0.6)
    axis.set_ylabel("kW")
    title = words("Net power at the connection, sale positive", "并网点净功率，上网为正")
    axis.set_title(title, loc="left")
    _keep_clear(axis)
    axis.legend(loc="upper left", frameon=False, ncols=3)


def _stores(axis: Axes, report: DayReport, edges: list[datetime], words: _Words) -> None:
    at = _at(edges)
    for run, colour, name in (
        ("uncontrolled", _WITHOUT, words("without control", "无控制")),
        ("controlled", _STORE, words("with control", "有控制")),
    ):
        ends = [sum(_metered(i, run).stored_kwh.values()) for i in report.intervals]
        totals = report.controlled if run == "controlled" else report.uncontrolled
        values = [totals.stored_start_kwh, *ends]
        axis.plot(at, values, color=colour, label=name, lw=1.8)
        if run == "controlled":
            axis.fill_between(at, values, color=colour, alpha=0.15)
    axis.set_ylim(bottom=0.0)
    axis.set_ylabel("kWh")
    axis.set_title(words("Energy in batteries", "电池储能"), loc="left")
    _keep_clear(axis)
    axis.legend(loc="upper left", frameon=False, ncols=2)


def _stack(axis: Axes, report: DayReport, edges: list[datetime], words: _Words) -> None:
    hours = np.array([(i.end_at - i.start_at) / HOUR for i in report.intervals])
    above, below = np.zeros(len(hours)), np.zeros(len(hours))
    seen: dict[str, int] = {}
    order = list(_KIND_COLOURS)
    resources = sorted(report.park.resources.items(), key=lambda item: order.index(item[1]))
    for id_, kind in resources:
        shades = _KIND_COLOURS[kind]
        colour = shades[seen.get(kind, 0) % len(shades)]
        seen[kind] = seen.get(kind, 0) + 1
        power = np.array([i.controlled.resources_net_kwh[id_] for i in report.intervals]) / hours
        gives, draws = np.maximum(power, 0.0), np.minimum(power, 0.0)
        _band(axis, edges, above, above + gives, color=colour, label=id_.replace("_", " "))
        _band(axis, edges, below, below + draws, color=colour)
        above, below = above + gives, below + draws
    net = _per_interval(report, "controlled") / hours
    _steps(axis, edges, net, color="black", label=words("net", "净功率"), lw=1.2)
    axis.axhline(0.0, color="black", lw=0.6)
    axis.set_ylabel("kW")
    axis.set_title(words("Resources under control", "受控资源"), loc="left")
    if len(resources) <= _MOST_NAMED:
        axis.legend(loc="upper left", bbox_to_anchor=(1.005, 1.0), frameon=False, fontsize=8)


def _metered(interval: ReportInterval, run: str) -> Metered:
    return interval.controlled if run == "controlled" else interval.uncontrolled


def _per_interval(report: DayReport, run: str) -> FloatArray:
    metered = [_metered(i, run) for i in report.intervals]
    return np.array([m.exported_kwh - m.imported_kwh for m in metered])


def _steps(
    axis: Axes, edges: list[datetime], values: Values, *, fill: bool = False, **style: Any
) -> None:
    axis.stairs(values, _at(edges), fill=fill, baseline=0 if fill else None, **style)


def _band(
    axis: Axes,
    edges: list[datetime],
    low: FloatArray,
    high: FloatArray,
    *,
    color: str,
    label: str | None = None,
) -> None:
    axis.stairs(high, _at(edges), baseline=low, fill=True, color=color, label=label, lw=0)


def _at(instants: list[datetime]) -> FloatArray:
    return np.asarray(dates.date2num(instants))  # type: ignore[no-untyped-call]


def _keep_clear(axis: Axes) -> None:
    """Leave room for a legend above the curves."""
    axis.margins(y=0.08)
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.18 * (high - low))


def _frame(axis: Axes, edges: list[datetime], zone: ZoneInfo) -> None:
    first, last = _at([edges[0], edges[-1]]).tolist()
    axis.set_xlim(first, last)
    hours = dates.HourLocator(byhour=range(0, 24, 3), tz=zone)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(hours)
    clock = dates.DateFormatter("%H:%M", tz=zone)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_formatter(clock)
    axis.grid(color="#dddddd", lw=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
