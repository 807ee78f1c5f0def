"""The page's own tables agree with the server's, and it speaks both languages whole."""

from __future__ import annotations

import re
from pathlib import Path

import serve_apps.routes  # noqa: F401  # declares every kind of approval
from serve_apps.approvals.four_eyes import KINDS
from serve_apps.web.permissions import PERMISSIONS, Operation

PAGE = Path(__file__).parents[3] / "serve_apps" / "page"


def words(language: str) -> set[str]:
    block = re.search(rf"^  {language}: {{$(.*?)^  }},$", read("text.js"), re.M | re.S)
    assert block is not None
    # What is left without the values are the keys.
    without = re.sub(r'("[^"]*":)|"[^"]*"|`[^`]*`', lambda found: found[1] or "", block[1])
    return {key.strip('"') for key in re.findall(r'("[^"]+"|\w+):', without)}


def read(name: str) -> str:
    return (PAGE / name).read_text()


def test_every_word_is_there_in_both_languages() -> None:
    assert len(words("en")) > 100
    assert words("en") == words("zh")


def test_every_word_that_the_page_asks_for_is_there() -> None:
    asked = {
        key
        for script in PAGE.glob("*.js")
        for key in re.findall(r'\bt\("(\w+)"', script.read_text())
    }
    asked |= set(re.findall(r'data-t="(\w+)"', read("index.html")))
    assert {"approve", "approvals"} <= asked
    assert asked <= words("en")


def test_every_kind_of_approval_has_words_and_those_who_may_decide() -> None:
    script = read("approvals.js")
    table = {
        kind: set(re.findall(r'"(\w+)"', roles))
        for kind, roles in re.findall(r'^  "([\w.]+)": \[(.*)\],$', script, re.M)
    }
    deciders = PERMISSIONS[Operation.APPROVAL_DECIDE]
    assert table == {
        name: {str(role) for role in PERMISSIONS[kind.operation] & deciders}
        for name, kind in KINDS.items()
    }
    assert set(KINDS) <= words("en")
    (readers,) = re.findall(r"READERS = \[(.*)\]", script)
    permitted = {str(role) for role in PERMISSIONS[Operation.APPROVAL_READ]}
    assert set(re.findall(r'"(\w+)"', readers)) == permitted
