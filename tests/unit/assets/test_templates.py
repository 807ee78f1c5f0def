"""A template narrows its kind and nothing else; a configuration is told all that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controllers.assets.forms import kind_forms, parameter_forms
from controllers.assets.templates import (
    TemplateContent,
    TemplateParameter,
    TemplateVersion,
    changes,
    check_template,
    configured,
    narrowed_rows,
    with_defaults,
)
from controllers.kernel.errors import RulesBrokenError
from controllers.resources.kinds import TWINS

P = TemplateParameter
BATTERY = [
    P(name="capacity_kwh", default=1000.0, low=100.0, high=5000.0),
    P(name="max_charge_kw", default=500.0),
    P(name="max_discharge_kw", default=500.0),
    P(name="on_stale", choices=["zero", "hold"]),
]


def test_bounds_and_defaults_of_the_template_hold() -> None:
    values, problems = configured("battery", BATTERY, {"capacity_kwh": 2000.0})
    assert problems == []
    assert (values["capacity_kwh"], values["max_charge_kw"]) == (2000.0, 500.0)
    assert values["soc_max_frac"] == 0.95


def test_every_broken_rule_of_a_configuration_is_told_with_the_narrower_limit() -> None:
    _, problems = configured(
        "battery",
        BATTERY,
        {"capacity_kwh": 6000.0, "on_stale": "limit", "colour": "red"},
        path="c.",
    )
    assert {p.field: p.rule.partition(";")[0] for p in problems} == {
        "c.colour": "unknown",
        "c.capacity_kwh": "must be at most 5000 kWh",
        "c.on_stale": "must be one of zero, hold",
    }


def test_rules_between_parameters_hold_as_well() -> None:
    _, problems = configured("battery", BATTERY, {"soc_min_frac": 0.97})
    assert [p.field for p in problems] == ["soc_min_frac"]


@pytest.mark.parametrize(
    ("parameter", "field"),
    [
        (P(name="colour", default=1.0), "parameters[0].name"),
        (P(name="charge_efficiency_frac", high=1.2), "parameters[0].high"),
        (P(name="charge_efficiency_frac", low=0.1), "parameters[0].low"),
        (P(name="charge_efficiency_frac", default=0.99, high=0.9), "parameters[0].default"),
        (P(name="charge_efficiency_frac", high=0.9), "parameters[0].default"),
        (P(name="charge_efficiency_frac", default="much"), "parameters[0].default"),
        (P(name="capacity_kwh", low=5.0, high=1.0), "parameters[0].low"),
        (P(name="on_stale", low=1.0), "parameters[0].low"),
        (P(name="on_stale", choices=[]), "parameters[0].choices"),
        (P(name="on_stale", choices=["explode"]), "parameters[0].choices"),
        (P(name="capacity_kwh", choices=["1"]), "parameters[0].choices"),
    ],
)
def test_a_template_that_allows_more_than_its_kind_is_refused(
    parameter: TemplateParameter, field: str
) -> None:
    with pytest.raises(RulesBrokenError) as refused:
        check_template("battery", TemplateContent(name="x", parameters=[parameter]))
    assert [problem.field for problem in refused.value.problems] == [field]


def test_a_parameter_named_twice_and_an_unknown_kind_are_refused() -> None:
    _, problems = narrowed_rows("battery", [P(name="capacity_kwh"), P(name="capacity_kwh")])
    assert [p.field for p in problems] == ["parameters[1].name"]
    _, problems = narrowed_rows("reactor", [])
    assert [p.field for p in problems] == ["kind"]


def test_defaults_that_contradict_one_another_are_refused() -> None:
    with pytest.raises(RulesBrokenError, match="soc_min_frac"):
        check_template(
            "battery",
            TemplateContent(name="x", parameters=[*BATTERY, P(name="soc_min_frac", default=0.97)]),
        )


def test_an_open_bound_of_the_kind_stays_open() -> None:
    rows, _ = narrowed_rows("pv", [P(name="rated_kw", high=100.0)])
    (row,) = [row for row in rows if row.name == "rated_kw"]
    assert (row.low, row.low_open, row.high) == (0.0, True, 100.0)
    _, problems = configured("pv", [P(name="rated_kw", high=100.0)], {"rated_kw": 0.0})
    assert [p.rule for p in problems] == ["must be above 0 kW"]


def test_what_is_given_goes_before_the_templates_default() -> None:
    assert with_defaults(BATTERY, {"capacity_kwh": 5.0}) == {
        "capacity_kwh": 5.0,
        "max_charge_kw": 500.0,
        "max_discharge_kw": 500.0,
    }


def test_a_diff_names_each_field_that_changed() -> None:
    first = TemplateVersion(
        template_id="t",
        version=1,
        name="a",
        description="",
        parameters=[P(name="rated_kw", low=1.0), P(name="tilt_deg", default=15.0)],
        note="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        created_by="anna",
    )
    second = TemplateVersion(
        **{
            **{name: getattr(first, name) for name in first.__struct_fields__},
            "name": "b",
            "parameters": [P(name="rated_kw", low=2.0, high=9.0)],
        }
    )
    assert [(c.field, c.before, c.after) for c in changes(first, second)] == [
        ("name", "a", "b"),
        ("parameters.rated_kw.low", 1.0, 2.0),
        ("parameters.tilt_deg.default", 15.0, None),
        ("parameters.rated_kw.high", None, 9.0),
    ]
    assert changes(first, first) == []


def test_every_kind_is_a_form_with_a_title_of_its_own() -> None:
    forms = kind_forms()
    assert [form.kind for form in forms] == list(TWINS)
    assert all(form.kind not in (form.title, form.title_zh) for form in forms)
    battery = next(form for form in forms if form.kind == "battery")
    assert battery.parameters == parameter_forms(TWINS["battery"].PARAMETERS)
    capacity = battery.parameters[0]
    assert (capacity.required, capacity.unit, capacity.low, capacity.low_open) == (
        True,
        "kWh",
        0.0,
        True,
    )
