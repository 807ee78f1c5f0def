"""YAML text to plain values that remember their lines; what YAML makes dangerous is refused.

A plain scalar is read by the short rules of YAML 1.2 (``true``, ``12``, ``1.5``, ``null``), so
that ``17:00`` and ``no`` stay text. Anchors, aliases and tags are refused (a short file could
unfold into a huge one), as are duplicate keys, deep nesting, numbers that are not finite, and large
files.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from controllers.kernel.errors import ConfigError, Problem

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16
MAX_INTEGER = 2**53
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[-+]?[0-9]{1,20}")
_NUMBER = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", re.IGNORECASE
)
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Document:
    """A parsed file: its values, and where each stands."""

    source: str
    value: object
    lines: dict[str, int] = field(default_factory=dict)
    """Line (from 1) by path, e.g. ``resources[2].kind``; the root is the empty path."""
    problems: list[Problem] = field(default_factory=list)
    """Duplicate keys and the like, found while reading."""

    def line_of(self, path: str) -> int:
        """Return the line of a path, or of the nearest thing around it that exists."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 1)

    def refuse(self, problems: list[Problem]) -> ConfigError:
        """Return the error that lists problems in the order of the file."""
        placed = sorted((self.line_of(found.field), str(_shortened(found))) for found in problems)
        return ConfigError(self.source, [f"{self.source}:{line}: {text}" for line, text in placed])


def read_yaml(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ConfigError: unreadable, too large, not YAML, or using what is refused altogether; names
            file and line. Duplicate keys and bad numbers are left in ``Document.problems``.
    """
    source = str(path)
    try:
        with path.open("rb") as file:
            payload = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(source, [f"{source}: cannot be read: {error.strerror}"]) from error
    if len(payload) > MAX_BYTES:
        raise ConfigError(source, [f"{source}: must be at most {MAX_BYTES} bytes"])
    try:
        return parse_yaml(payload.decode(), source=source)
    except UnicodeDecodeError as error:
        line = payload[: error.start].count(b"\n") + 1
        raise ConfigError(source, [f"{source}:{line}: must be UTF-8 text"]) from error


def parse_yaml(text: str, *, source: str) -> Document:
    """Parse YAML text; errors as in ``read_yaml``."""
    try:
        _refuse_dangerous(text, source)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(source, [f"{source}:{line}: not YAML: {error.problem}"]) from error
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(source, [f"{source}: not YAML: {reason}"]) from error
    if node is None:
        raise ConfigError(source, [f"{source}:1: the file is empty"])
    document = Document(source=source, value=None)
    return Document(
        source=source,
        value=_value(node, "", document),
        lines=document.lines,
        problems=document.problems,
    )


def _refuse_dangerous(text: str, source: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ConfigError(source, [f"{source}:{line}: nested more than {MAX_DEPTH} deep"])
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            rule = "anchors and aliases are refused; write the value out"
            raise ConfigError(source, [f"{source}:{line}: {rule}"])
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise ConfigError(source, [f"{source}:{line}: the tag {tag} is refused; leave it out"])


def _value(node: yaml.Node, path: str, into: Document) -> object:
    into.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, into)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{path}[{i}]", into) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, path, into)
    raise TypeError(f"YAML has no node of type {type(node)}")


def _mapping(node: yaml.MappingNode, path: str, into: Document) -> dict[str, object]:
    values: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "(not text)"
        key_path = f"{path}.{key}" if path else key
        line = key_node.start_mark.line + 1
        if key in values:
            # The first line is kept for the path, so the second must be in the text.
            rule = f"is given again on line {line}; keys are unique"
            into.problems.append(Problem(field=key_path, value=key, rule=rule))
            continue
        into.lines[key_path] = line
        values[key] = _value(value_node, key_path, into)
    return values


def _scalar(node: yaml.ScalarNode, path: str, into: Document) -> object:
    text = str(node.value)
    if node.style in ("'", '"', "|", ">"):
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text) and abs(int(text)) <= MAX_INTEGER:
        return int(text)
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(number):
        into.problems.append(Problem(field=path, value=text, rule="must be a finite number"))
        return 0.0
    return number


def _shortened(problem: Problem) -> Problem:
    shown = repr(problem.value)
    if len(shown) <= 100:
        return problem
    return Problem(field=problem.field, value=f"{shown[:97]}...", rule=problem.rule)
