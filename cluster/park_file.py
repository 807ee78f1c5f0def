"""A park file (YAML) to a ParkDefinition; every mistake is named with its line and its rule.

First the shape is checked, field by field, so that one pass finds every unknown key, wrong type and
missing field. Rules between fields (``controllers.park.check_park``) are checked once every field
can be read, since they would otherwise accuse the innocent.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec

from cluster.yaml_source import Document, parse_yaml, read_yaml
from controllers.kernel.errors import Problem
from controllers.park import ParkDefinition, check_park

_PLAIN_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
    "datetime": "an instant such as 2026-01-01T00:00:00Z",
}


def load_park(path: Path) -> ParkDefinition:
    """Return the park a file defines.

    Raises:
        ConfigError: the file cannot be used; carries ``file:line: field = value: rule`` for each
            problem found.
    """
    return park_of(read_yaml(path))


def parse_park(text: str, *, source: str = "park") -> ParkDefinition:
    """Return the park a text defines; errors as in ``load_park``."""
    return park_of(parse_yaml(text, source=source))


def park_of(document: Document) -> ParkDefinition:
    """Return the park a YAML document defines; errors as in ``load_park``."""
    problems = list(document.problems)
    park = _struct(document.value, ParkDefinition, "", problems)
    if isinstance(park, ParkDefinition):
        problems += check_park(park)
    if problems:
        raise document.refuse(problems)
    return park  # type: ignore[return-value]  # no problems, so it was built


def _struct(
    value: object, type_: type[msgspec.Struct], path: str, problems: list[Problem]
) -> msgspec.Struct | None:
    if not isinstance(value, dict):
        rule = f"must be a mapping with {', '.join(type_.__struct_fields__)}"
        problems.append(Problem(field=path or "(file)", value=value, rule=rule))
        return None
    prefix = f"{path}." if path else ""
    fields = {field.name: field for field in msgspec.structs.fields(type_)}
    problems += [
        Problem(field=f"{prefix}{key}", value=given, rule=f"unknown; known are {', '.join(fields)}")
        for key, given in value.items()
        if key not in fields
    ]
    built: dict[str, object] = {}
    complete = True
    for name, field in fields.items():
        if name in value:
            n_before = len(problems)
            built[name] = _field(value[name], field.type, f"{prefix}{name}", problems)
            complete = complete and not _unusable(problems[n_before:])
        elif field.required:
            complete = False
            problems.append(Problem(field=f"{prefix}{name}", value=None, rule="is required"))
    return type_(**built) if complete else None


def _unusable(problems: list[Problem]) -> bool:
    """Tell whether a field could not be read; an unknown key inside it does no harm."""
    return any(not problem.rule.startswith("unknown; known are") for problem in problems)


def _field(value: object, type_: Any, path: str, problems: list[Problem]) -> object:
    item_type = _listed_struct(type_)
    if item_type is None:
        return _converted(value, type_, path, problems)
    # Length first; the items then one by one, each with all its problems.
    constraints = get_args(type_)[1:]
    items = _converted(value, Annotated[(list[Any], *constraints)], path, problems)
    if not isinstance(items, list):
        return None
    return [_struct(item, item_type, f"{path}[{i}]", problems) for i, item in enumerate(items)]


def _listed_struct(type_: Any) -> type[msgspec.Struct] | None:
    """Return the struct type of an annotated list of structs."""
    if get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    item = get_args(type_)[0] if get_origin(type_) is list else None
    return item if isinstance(item, type) and issubclass(item, msgspec.Struct) else None


def _converted(value: object, type_: Any, path: str, problems: list[Problem]) -> object:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at ")
        index = re.match(r"`\$((?:\[\d+\])*)", inner)
        place = index[1] if index else ""
        shown = _at(value, place)
        problems.append(Problem(field=path + place, value=shown, rule=_rule(message, type_)))
        return None


def _at(value: object, place: str) -> object:
    for index in re.findall(r"\d+", place):
        value = value[int(index)]  # type: ignore[index]
    return value


def _rule(message: str, type_: Any) -> str:
    """Turn the decoder's words into the house's."""
    if isinstance(type_, type) and issubclass(type_, Enum):
        return f"must be one of {', '.join(type_)}"
    wanted, _, got = message.partition(", got ")
    words = re.sub(
        r"`([^`]*)`",
        lambda match: " or ".join(_PLAIN_WORDS.get(w, w) for w in match[1].split(" | ")),
        f"{wanted}, not {got}" if got else wanted,
    )
    form = re.fullmatch(r"Expected text matching regex ['\"](.*)['\"]", words)
    if form:
        return "must be text of the form " + form[1].replace("\\\\", "\\")
    if words.startswith("Invalid RFC3339"):
        return f"must be {_PLAIN_WORDS['datetime']}"
    return words.replace("Expected ", "must be ", 1)
