"""The page in a real browser: what an operator sees, does and is refused, without one complaint."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from serve_apps.web.deps import ApiSettings
from tests.support.accounts import PASSWORD
from tests.support.browser import Browser, chromium_path
from tests.support.live_states import make_resource_state
from tests.support.served import Served, served
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(chromium_path() is None, reason="Chromium is not installed"),
]


@pytest.fixture
def api() -> Iterator[Served]:
    """A park of which the roof is stopped, where operator and admin are two persons."""
    with served(ApiSettings(jwt_secret="s" * 32, live_refresh_s=0.0, four_eyes="auto")) as api:
        api.world.live.put(make_resource_state("pv1", kind="pv", power_kw=120.0, killed=True))
        yield api


@pytest.fixture
def browser(api: Served) -> Iterator[Browser]:
    """The page, at its log-in; it must not complain until the end."""
    with Browser() as browser:
        browser.open(api.url)
        browser.wait_for("document.getElementById('log-in')?.hidden === false")
        yield browser
        # What was thrown meanwhile is told with the next answer.
        browser.evaluate("1")
        assert browser.complaints == []


def fill(browser: Browser, form: str, **values: str) -> None:
    """Type into the fields of a form and send it."""
    for name, value in values.items():
        field = f"document.querySelector('{form}').elements.{name}"
        browser.evaluate(f"{field}.value = {json.dumps(value)}")
    browser.evaluate(f"document.querySelector('{form}').requestSubmit()")


def log_in(browser: Browser, username: str) -> None:
    """Log in as somebody and wait for the plant."""
    fill(browser, "#log-in-form", username=username, password=PASSWORD)
    browser.wait_for("!document.getElementById('plant').hidden")


def text(of: str) -> str:
    """Return the expression for what an element says."""
    return f"document.getElementById('{of}').innerText"


def test_who_logs_in_sees_the_plant_live_and_dispatches_it(api: Served, browser: Browser) -> None:
    fill(browser, "#log-in-form", username="operator", password=PASSWORD[1:])
    browser.wait_for("document.querySelector('#log-in-form .error').innerText.includes('wrong')")
    log_in(browser, "operator")
    browser.wait_for(f"{text('resources')}.includes('Battery 1')")
    browser.wait_for(f"{text('resources')}.includes('+40')")
    browser.wait_for(f"{text('feed-text')}.startsWith('live')")
    assert "1 resource" in browser.evaluate(text("stopped-text"))

    fill(browser, "#dispatch-form", target_kw="150", minutes="10", reason="evening peak")
    browser.wait_for(f"{text('followed')}.includes('evening peak')")
    assert api.world.control.n_submitted == 1
    fill(browser, "#dispatch-form", target_kw="99999", minutes="10", reason="too much")
    browser.wait_for("document.querySelector('#dispatch-form .error').innerText.length > 0")
    assert api.world.control.n_submitted == 1

    browser.evaluate("document.getElementById('language').click()")
    browser.wait_for(f"{text('resources')}.length && {text('log-out')} === '退出'")


def test_two_persons_release_a_stop_on_the_page(api: Served, browser: Browser) -> None:
    world = api.world
    world.control.killed = {"pv1"}
    log_in(browser, "operator")
    browser.wait_for("!document.getElementById('stopped').hidden")
    browser.evaluate("document.getElementById('release').click()")
    browser.evaluate("document.querySelector('#dialog select').value = '/resources/pv1'")
    browser.evaluate("document.querySelector('#dialog form input').value = 'all clear'")
    browser.evaluate("document.querySelector('#dialog form').requestSubmit()")
    browser.wait_for(f"{text('approval-rows')}.includes('all clear')")
    buttons = "[...document.querySelectorAll('#approval-rows button')]"
    assert browser.evaluate(f"{buttons}.map((button) => button.innerText)") == ["Withdraw"]
    browser.evaluate("document.getElementById('dialog').close()")
    browser.evaluate("document.getElementById('log-out').click()")
    browser.wait_for("!document.getElementById('log-in').hidden")
    assert world.control.killed == {"pv1"}

    log_in(browser, "admin")
    browser.wait_for(f"{buttons}.length === 2")
    browser.evaluate(f"{buttons}.find((button) => button.innerText === 'Approve').click()")
    browser.wait_for("document.getElementById('approvals').hidden")
    assert world.control.killed == set()


def test_what_gets_into_the_page_runs_no_script(api: Served, browser: Browser) -> None:
    log_in(browser, "operator")
    injected = "<img src=/nowhere onerror=window.ran=1 onload=window.ran=1>"
    browser.evaluate(f"document.body.insertAdjacentHTML('beforeend', '{injected}')")
    browser.wait_for("document.body.lastElementChild.complete")
    wait_until(lambda: browser.evaluate("1") and browser.complaints, within_s=10.0)
    assert "Content Security Policy" in browser.complaints[0]
    assert browser.evaluate("window.ran") is None
    browser.complaints.clear()
