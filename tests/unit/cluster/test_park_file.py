"""Park files: what is read, and what is refused with line and reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from cluster import yaml_source
from cluster.park_file import load_park, parse_park
from controllers.kernel.errors import ConfigError, Problem
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import Parameter, ParameterValue

PARK = """\
id: park1
name: Test park
timezone: Asia/Shanghai
currency: CNY
resources:
  - id: box1
    name: Box
    kind: box
    parameters: {size_kw: 10, low_kw: 2}
aggregates:
  - id: vpp
    name: All of it
    members: [box1]
tariff:
  - {from_time: 00:00, import_per_mwh: 300, export_per_mwh: 100.5}
  - {from_time: 17:00, import_per_mwh: 900, export_per_mwh: 400}
"""


class BoxTwin:
    """As much of a kind as a file loader needs."""

    PARAMETERS: ClassVar = (
        Parameter(
            name="size_kw",
            kind="number",
            unit="kW",
            default=None,
            sentence="",
            sentence_zh="",
            low=0,
        ),
        Parameter(name="low_kw", kind="number", unit="kW", default=0, sentence="", sentence_zh=""),
    )

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Refuse a low above the size."""
        if float(values["low_kw"]) <= float(values["size_kw"]):
            return []
        return [Problem(field=f"{path}low_kw", value=values["low_kw"], rule="above size_kw")]


@pytest.fixture(autouse=True)
def box_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TWINS, "box", BoxTwin)  # type: ignore[arg-type]


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_park(text, source="p.yaml")
    return caught.value.problems


def test_a_good_file_gives_the_park(tmp_path: Path) -> None:
    path = tmp_path / "park.yaml"
    path.write_text(PARK)
    park = load_park(path)
    assert park.resources[0].parameters == {"size_kw": 10, "low_kw": 2}
    # Unquoted times stay text; YAML 1.1 would read 17:00 as the number 1020.
    assert [row.from_time for row in park.tariff] == ["00:00", "17:00"]
    assert park.tariff[0].export_per_mwh == 100.5


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: Box", "nmae: Box", "p.yaml:7: resources[0].nmae = 'Box': unknown; known are id,"),
        ("name: Box", "nmae: Box", "p.yaml:6: resources[0].name = None: is required"),
        ("kind: box", "kind: bxo", "p.yaml:8: resources[0].kind = 'bxo': must be one of"),
        (
            "size_kw: 10",
            "size_kw: -1",
            "p.yaml:9: resources[0].parameters.size_kw = -1: must be at",
        ),
        ("low_kw: 2", "low_kw: 20", "p.yaml:9: resources[0].parameters.low_kw = 20: above size_kw"),
        ("size_kw: 10", "size_kw: ten", "size_kw = 'ten': must be a finite number"),
        ("size_kw: 10", "size_kw: .inf", "size_kw = '.inf': must be a finite number"),
        ("size_kw: 10", "size_kw: 1e999", "size_kw = '1e999': must be a finite number"),
        ("[box1]", "[box1, box2]", "p.yaml:13: aggregates[0].members[1] = 'box2': must be a res"),
        ("[box1]", "[Box One]", "members[0] = 'Box One': must be text of the form ^[a-z0-9]"),
        ("[box1]", "[]", "p.yaml:13: aggregates[0].members = []: must hold at least one"),
        ("[box1]", "box1", "members = 'box1': must be a list, not text"),
        ("CNY", "GBP", "p.yaml:4: currency = 'GBP': must be one of CNY, USD, EUR"),
        ("Asia/Shanghai", "Mars/Base", "p.yaml:3: timezone = 'Mars/Base': must be an IANA zone"),
        ("17:00", "25:00", "p.yaml:16: tariff[1].from_time = '25:00': must be text of the form"),
        ("17:00", "00:00", "p.yaml:14: tariff = ['00:00', '00:00']: from_time must rise"),
        (
            "kind: box",
            "kind: box\n    name: Two",
            "resources[0].name = 'name': is given again on l",
        ),
        (
            "kind: box",
            "kind: box\n    latitude_deg: 91",
            "p.yaml:9: resources[0].latitude_deg = 91",
        ),
        (
            "id: park1",
            "valid_from: tomorrow\nid: park1",
            "valid_from = 'tomorrow': must be an inst",
        ),
        ("[box1]", "&a [box1]", "p.yaml:13: anchors and aliases are refused"),
        ("[box1]", "*a", "p.yaml:13: anchors and aliases are refused"),
        ("[box1]", "!!python/name:os.system x", "p.yaml:13: the tag"),
        ("[box1]", "[box1", "not YAML"),
        ("[box1]", "[" * 40 + "]" * 40, "p.yaml:13: nested more than 16 deep"),
        ("id: park1", "---\nid: park1\n---\nb: 1", "not YAML: but found another document"),
        ("id: park1", "id: park1\x00", "not YAML"),
    ],
)
def test_a_mistake_is_named_with_line_and_rule(old: str, new: str, expected: str) -> None:
    assert old in PARK
    problems = problems_of(PARK.replace(old, new, 1))
    assert any(expected in problem for problem in problems), problems


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = PARK.replace("name: Test park", "name: ''").replace("name: Box", "name: 7")
    text = text.replace("300", "cheap").replace("currency: CNY\n", "")
    assert [problem.split(" = ")[0] for problem in problems_of(text)] == [
        "p.yaml:1: currency",
        "p.yaml:2: name",
        "p.yaml:6: resources[0].name",
        "p.yaml:14: tariff[0].import_per_mwh",
    ]


def test_an_unknown_key_does_not_hide_a_broken_rule() -> None:
    text = PARK.replace("kind: box", "kind: bxo").replace("id: vpp", "id: vpp\n    colour: red")
    assert [problem.split(" = ")[0] for problem in problems_of(text)] == [
        "p.yaml:8: resources[0].kind",
        "p.yaml:12: aggregates[0].colour",
    ]


@pytest.mark.parametrize("text", ["", "# nothing", "[]", "just text", "- 1"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert len(problems_of(text)) == 1


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_park(tmp_path / "none.yaml")


def test_a_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "MAX_BYTES", 100)
    path = tmp_path / "park.yaml"
    path.write_text(PARK)
    with pytest.raises(ConfigError, match="must be at most 100 bytes"):
        load_park(path)


def test_a_binary_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "park.yaml"
    path.write_bytes(b"id: a\nname: \xff\xfe\n")
    with pytest.raises(ConfigError, match=":2: must be UTF-8 text"):
        load_park(path)
