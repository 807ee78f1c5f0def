"""Parameter rows: completeness, bounds, and the rules between parameters of each kind."""

from __future__ import annotations

import math

import pytest

from controllers.kernel.errors import ConfigError, DomainError
from controllers.resources.kinds import TWINS, build_twin
from controllers.resources.parameters import Parameter, ParameterValue, check_parameters
from tests.support.twins import VALID

ROWS = (
    Parameter(
        name="power_kw",
        kind="number",
        unit="kW",
        default=None,
        sentence="A power.",
        sentence_zh="功率。",
        low=0.0,
        low_open=True,
        high=10.0,
    ),
    Parameter(
        name="count",
        kind="integer",
        unit="",
        default=2,
        sentence="A count.",
        sentence_zh="数量。",
        low=1,
    ),
    Parameter(
        name="on", kind="boolean", unit="", default=True, sentence="A switch.", sentence_zh="开关。"
    ),
    Parameter(
        name="mode",
        kind="choice",
        unit="",
        default="a",
        sentence="A choice.",
        sentence_zh="选项。",
        choices=("a", "b"),
    ),
)


def test_defaults_fill_what_was_not_given() -> None:
    values, problems = check_parameters(ROWS, {"power_kw": 5})
    assert problems == []
    assert values == {"power_kw": 5, "count": 2, "on": True, "mode": "a"}


@pytest.mark.parametrize(
    ("given", "field", "rule"),
    [
        ({}, "p.power_kw", "is required"),
        ({"power_kw": 0.0}, "p.power_kw", "must be above 0 kW"),
        ({"power_kw": -1}, "p.power_kw", "must be above 0 kW"),
        ({"power_kw": 11.0}, "p.power_kw", "must be at most 10 kW"),
        ({"power_kw": math.nan}, "p.power_kw", "must be a finite number"),
        ({"power_kw": math.inf}, "p.power_kw", "must be a finite number"),
        ({"power_kw": True}, "p.power_kw", "must be a finite number"),
        ({"power_kw": "5"}, "p.power_kw", "must be a finite number"),
        ({"power_kw": 5, "count": 0}, "p.count", "must be at least 1"),
        ({"power_kw": 5, "count": 1.5}, "p.count", "must be a whole number"),
        ({"power_kw": 5, "on": 1}, "p.on", "must be true or false"),
        ({"power_kw": 5, "mode": "c"}, "p.mode", "must be one of a, b"),
        ({"power_kw": 5, "pwr": 1}, "p.pwr", "unknown; known are power_kw, count, on, mode"),
    ],
)
def test_a_broken_rule_names_field_and_limit(
    given: dict[str, object], field: str, rule: str
) -> None:
    _, problems = check_parameters(ROWS, given, path="p.")
    assert [(problem.field, problem.rule) for problem in problems] == [(field, rule)]


def test_every_problem_is_reported_at_once() -> None:
    _, problems = check_parameters(ROWS, {"count": 0, "mode": "c", "x": 1})
    assert {problem.field for problem in problems} == {"power_kw", "count", "mode", "x"}


@pytest.mark.parametrize("kind", sorted(TWINS))
def test_table_of_a_kind_is_complete_and_consistent(kind: str) -> None:
    rows = TWINS[kind].PARAMETERS
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    for row in rows:
        assert row.sentence.endswith(".")
        assert row.sentence_zh.endswith("。")
        assert row.low <= row.high
        if row.default is not None:
            values, problems = check_parameters((row,), {})
            assert problems == []
            assert values[row.name] == row.default


@pytest.mark.parametrize("kind", sorted(TWINS))
def test_a_kind_is_built_from_its_mandatory_parameters_alone(kind: str) -> None:
    mandatory = {row.name for row in TWINS[kind].PARAMETERS if row.default is None}
    assert mandatory <= set(VALID[kind])
    twin = build_twin(kind, {name: VALID[kind][name] for name in mandatory})
    assert kind == twin.KIND
    assert twin.rated_kw > 0.0


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("battery", {"soc_min_frac": 0.96}, "soc_min_frac"),
        ("battery", {"soc_min_frac": 0.95}, "soc_min_frac"),
        ("battery", {"reserve_soc_frac": 0.97}, "reserve_soc_frac"),
        ("battery", {"exclusion_low_kw": 5.0, "exclusion_high_kw": 1.0}, "exclusion_low_kw"),
        ("battery", {"exclusion_low_kw": -500.0, "exclusion_high_kw": 5.0}, "exclusion_low_kw"),
        ("battery", {"exclusion_low_kw": -5.0, "exclusion_high_kw": 500.0}, "exclusion_low_kw"),
        ("wind", {"cut_in_m_s": 13.0}, "cut_in_m_s"),
        ("wind", {"cut_out_m_s": 12.0}, "rated_m_s"),
        ("ev_station", {"max_charge_kw": 3.0}, "max_charge_kw"),
        ("ev_station", {"plug_max_charge_kw": 4.0}, "plug_max_charge_kw"),
        ("flexible_load", {"comfort_low_c": 27.0}, "comfort_low_c"),
        ("chp", {"min_kw": 120.0}, "min_kw"),
        ("heat_pump", {"store_min_frac": 0.96}, "store_min_frac"),
        ("fleet", {"store_min_frac": 0.9}, "store_min_frac"),
        ("fleet", {"device_kind": "ev", "efficiency": 3.0}, "efficiency"),
    ],
)
def test_a_contradiction_between_parameters_is_refused(
    kind: str, change: dict[str, ParameterValue], field: str
) -> None:
    values, problems = check_parameters(TWINS[kind].PARAMETERS, {**VALID[kind], **change})
    assert problems == []
    assert [p.field for p in TWINS[kind].check(values, path="x.")] == [f"x.{field}"]
    with pytest.raises(ConfigError, match=field):
        build_twin(kind, {**VALID[kind], **change})


@pytest.mark.parametrize("kind", sorted(TWINS))
def test_valid_parameters_have_no_contradiction(kind: str) -> None:
    values, _ = check_parameters(TWINS[kind].PARAMETERS, VALID[kind])
    assert TWINS[kind].check(values, path="") == []


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DomainError, match="battery, chp"):
        build_twin("reactor", {})


def test_a_missing_parameter_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="capacity_kwh = None: is required"):
        build_twin("battery", {"max_charge_kw": 1.0, "max_discharge_kw": 1.0})
