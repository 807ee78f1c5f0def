"""The page speaks both languages completely and reaches nothing outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import serve_apps
import serve_apps.routes  # declares every kind of approval
from serve_apps.approvals.four_eyes import KINDS
from serve_apps.system.dependencies import DEGRADED_MODES, LIVE
from serve_apps.web.permissions import PERMISSIONS, Operation

PAGE = Path(serve_apps.__file__).parent / "page"
_KEY = re.compile(r"""(?:^|[ {,])("[\w.]+"|[A-Za-z_]\w*): (?=["(])""", re.MULTILINE)


def _keys(language: str) -> set[str]:
    text = (PAGE / "text.js").read_text()
    block = text.split(f"\n  {language}: {{", 1)[1].split("\n  },", 1)[0]
    return {key.strip('"') for key in _KEY.findall(block)}


def test_every_word_exists_in_both_languages() -> None:
    english, chinese = _keys("en"), _keys("zh")
    assert len(english) > 80
    assert english == chinese


def test_every_word_the_page_asks_for_exists() -> None:
    asked = set(re.findall(r'data-t="(\w+)"', (PAGE / "index.html").read_text()))
    for script in PAGE.glob("*.js"):
        asked |= set(re.findall(r'\bt\("(\w+)"', script.read_text()))
    assert len(asked) > 50
    assert asked <= _keys("en")


def test_every_degraded_mode_has_words_of_its_own() -> None:
    # The live feed's loss has a banner of its own.
    named = set(DEGRADED_MODES) - {LIVE}
    assert {f"without_{name.replace('-', '_')}" for name in named} <= _keys("en")
    listed = re.search(r"WITHOUT = \[(.*?)\]", (PAGE / "text.js").read_text(), re.DOTALL)
    assert listed is not None
    assert set(re.findall(r'"([\w-]+)"', listed[1])) == named


def test_every_kind_of_approval_has_words_and_those_who_may_decide() -> None:
    script = (PAGE / "approvals.js").read_text()
    table = {
        kind: set(re.findall(r'"(\w+)"', roles))
        for kind, roles in re.findall(r'^  "([\w.]+)": \[(.*)\],$', script, re.MULTILINE)
    }
    deciders = PERMISSIONS[Operation.APPROVAL_DECIDE]
    assert table == {
        name: {str(role) for role in PERMISSIONS[kind.operation] & deciders}
        for name, kind in KINDS.items()
    }
    assert set(KINDS) <= _keys("en")
    (readers,) = re.findall(r"READERS = \[(.*)\]", script)
    permitted = {str(role) for role in PERMISSIONS[Operation.APPROVAL_READ]}
    assert set(re.findall(r'"(\w+)"', readers)) == permitted


@pytest.mark.parametrize("path", sorted(PAGE.iterdir()), ids=lambda p: p.name)
def test_nothing_is_fetched_from_elsewhere(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert "://" not in text.replace("${scheme}//", "")
    assert "innerHTML" not in text
