"""Resource templates: a kind with defaults and narrower bounds, in immutable versions.

A template can only narrow what its kind allows, so the parameter rows of ``controllers.resources``
stay the one source of what is valid. A version is never changed; an update makes the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from controllers.kernel.errors import Problem, RulesBrokenError
from controllers.kernel.wire import Identifier, Wire
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import Parameter, ParameterValue, check_parameters

TemplateName = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Description = Annotated[str, msgspec.Meta(max_length=4000)]


class TemplateState(StrEnum):
    """Whether new resources may be made of a template."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    """Stands for the resources that use it; no new ones are made of it."""


class TemplateParameter(Wire):
    """What a template says about one parameter of its kind; what is absent stays."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    default: ParameterValue | None = None
    low: float | None = None
    """Least value allowed, numbers only, in the parameter's unit."""
    high: float | None = None
    choices: list[str] | None = None
    """Values allowed of a choice."""


class TemplateRef(Wire):
    """One version of a template."""

    template_id: str
    version: int


class TemplateContent(Wire):
    """What one version holds."""

    name: TemplateName
    description: Description = ""
    """What it stands for and where its values come from."""
    parameters: list[TemplateParameter] = []


class TemplateVersion(Wire):
    """One immutable version."""

    template_id: str
    version: int
    name: str
    description: str
    parameters: list[TemplateParameter]
    note: str
    """Why it was made."""
    created_at: datetime
    created_by: str


class Template(Wire):
    """A template with its newest version."""

    id: Identifier
    kind: str
    state: TemplateState
    version: int
    """Number of the newest version; also what ``If-Match`` takes."""
    name: str
    description: str
    parameters: list[TemplateParameter]
    created_at: datetime
    created_by: str
    updated_at: datetime


class ProblemView(Wire):
    """One broken rule of a configuration."""

    field: str
    value: object
    rule: str


class TemplateValidation(Wire):
    """A configuration checked against a version; kept on record."""

    id: str
    template_id: str
    version: int
    configuration: dict[str, object]
    valid: bool
    problems: list[ProblemView]
    """Every broken rule, not only the first."""
    values: dict[str, ParameterValue]
    """The complete parameters, defaults filled in; empty unless valid."""
    validated_at: datetime
    validated_by: str


class TemplateUse(Wire):
    """A resource that was made of a template."""

    resource_id: str
    version: int
    """Version it uses now."""
    used_since: datetime
    released_at: datetime | None
    """When the resource was retired."""


class VersionUse(Wire):
    """How many resources in operation use one version."""

    version: int
    n_resources: int


class TemplateUsage(Wire):
    """Who uses a template."""

    template_id: str
    n_in_use: int
    n_retired: int
    by_version: list[VersionUse]
    resources: list[TemplateUse]
    """In operation first, then retired ones; at most 1,000."""
    n_validations: int
    n_validations_failed: int


class Change(Wire):
    """One difference between two versions."""

    field: str
    """Such as ``parameters.capacity_kwh.high``."""
    before: object
    after: object


def narrowed_rows(
    kind: str, parameters: Sequence[TemplateParameter], *, path: str = "parameters"
) -> tuple[list[Parameter], list[Problem]]:
    """Return the kind's rows as narrowed by a template, and every broken rule.

    Args:
        kind: a kind of resource.
        parameters: what the template says.
        path: prefix of the fields in problems.
    """
    twin = TWINS.get(kind)
    if twin is None:
        return [], [unknown_kind(kind)]
    rows = {row.name: row for row in twin.PARAMETERS}
    problems: list[Problem] = []
    seen: set[str] = set()
    for i, wanted in enumerate(parameters):
        field = f"{path}[{i}]"
        row = rows.get(wanted.name)
        if row is None:
            rule = f"unknown; known are {', '.join(rows)}"
            problems.append(Problem(field=f"{field}.name", value=wanted.name, rule=rule))
        elif wanted.name in seen:
            problems.append(
                Problem(field=f"{field}.name", value=wanted.name, rule="is named twice")
            )
        else:
            seen.add(wanted.name)
            rows[wanted.name], found = _narrowed(row, wanted, field)
            problems += found
    if not problems:
        problems = _contradictions(kind, list(rows.values()), path)
    return list(rows.values()), problems


def unknown_kind(kind: str) -> Problem:
    """Return the problem of a kind that is none."""
    return Problem(field="kind", value=kind, rule=f"must be one of {', '.join(sorted(TWINS))}")


def check_template(kind: str, content: TemplateContent) -> list[Parameter]:
    """Return the rows of a template.

    Raises:
        RulesBrokenError: it allows what its kind does not, or contradicts itself.
    """
    rows, problems = narrowed_rows(kind, content.parameters)
    if problems:
        raise RulesBrokenError(problems)
    return rows


def configured(
    kind: str,
    parameters: Sequence[TemplateParameter],
    given: Mapping[str, object],
    *,
    path: str = "",
) -> tuple[dict[str, ParameterValue], list[Problem]]:
    """Return the complete parameters of a configuration and every broken rule.

    Args:
        kind: of the template.
        parameters: of the version.
        given: what differs from the template's defaults.
        path: prefix of the fields in problems.
    """
    rows, problems = narrowed_rows(kind, parameters)
    if problems:
        return {}, problems
    values, problems = check_parameters(rows, given, path=path)
    return values, problems or TWINS[kind].check(values, path=path)


def with_defaults(
    parameters: Sequence[TemplateParameter], given: Mapping[str, ParameterValue]
) -> dict[str, ParameterValue]:
    """Return the parameters a resource is defined with: the template's defaults, then its own."""
    defaults = {p.name: p.default for p in parameters if p.default is not None}
    return {**defaults, **given}


def changes(before: TemplateVersion, after: TemplateVersion) -> list[Change]:
    """Return what differs between two versions, field by field."""
    old, new = _flat(before), _flat(after)
    return [
        Change(field=field, before=old.get(field), after=new.get(field))
        for field in dict.fromkeys([*old, *new])
        if old.get(field) != new.get(field)
    ]


def _flat(version: TemplateVersion) -> dict[str, object]:
    flat: dict[str, object] = {"name": version.name, "description": version.description}
    for parameter in version.parameters:
        for field in ("default", "low", "high", "choices"):
            value = getattr(parameter, field)
            if value is not None:
                flat[f"parameters.{parameter.name}.{field}"] = value
    return flat


def _narrowed(
    row: Parameter, wanted: TemplateParameter, field: str
) -> tuple[Parameter, list[Problem]]:
    problems = _unfitting(row, wanted, field)
    if problems:
        return row, problems
    low = row.low if wanted.low is None else wanted.low
    narrow = replace(
        row,
        low=low,
        low_open=row.low_open and low == row.low,
        high=row.high if wanted.high is None else wanted.high,
        choices=row.choices if wanted.choices is None else tuple(wanted.choices),
        default=row.default if wanted.default is None else wanted.default,
    )
    if narrow.default is not None:
        _, broken = check_parameters([narrow], {narrow.name: narrow.default})
        problems = [
            Problem(
                field=f"{field}.default",
                value=narrow.default,
                rule=f"{problem.rule}; give a default within the template's own bounds",
            )
            for problem in broken
        ]
    return narrow, problems


def _unfitting(row: Parameter, wanted: TemplateParameter, field: str) -> list[Problem]:
    problems = []
    numeric = row.kind in ("number", "integer")
    for name, bound in (("low", wanted.low), ("high", wanted.high)):
        if bound is None:
            continue
        if not numeric:
            rule = f"{row.name} is a {row.kind}; only numbers have bounds"
            problems.append(Problem(field=f"{field}.{name}", value=bound, rule=rule))
        elif not row.low <= bound <= row.high:
            rule = f"must be between {row.low:g} and {row.high:g} {row.unit}, the kind's own bounds"
            problems.append(Problem(field=f"{field}.{name}", value=bound, rule=rule))
    if wanted.low is not None and wanted.high is not None and wanted.low > wanted.high:
        rule = f"must not be above high = {wanted.high:g}"
        problems.append(Problem(field=f"{field}.low", value=wanted.low, rule=rule))
    if wanted.choices is not None:
        outside = set(wanted.choices) - set(row.choices)
        if not wanted.choices or outside:
            rule = f"must be some of {', '.join(row.choices) or 'none: it is no choice'}"
            problems.append(Problem(field=f"{field}.choices", value=wanted.choices, rule=rule))
    return problems


def _contradictions(kind: str, rows: Sequence[Parameter], path: str) -> list[Problem]:
    # Only where every parameter has a default is there something that could contradict itself.
    if any(row.default is None for row in rows):
        return []
    values, problems = check_parameters(rows, {})
    return problems or TWINS[kind].check(values, path=f"{path}.")
