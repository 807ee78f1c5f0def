"""The client against the real API on a port: complete, typed, and careful with repeats."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest

from controllers.kernel.errors import TemporaryError
from serve_apps.client import generate
from serve_apps.client.client import Client
from serve_apps.client.errors import (
    AwaitsApprovalError,
    RefusedByServerError,
    ServerUnavailableError,
)
from serve_apps.openapi import openapi_document
from serve_apps.web.deps import ApiSettings
from tests.support.api_world import PASSWORD
from tests.support.served import Served, served

BODY = {"target_kw": 10.0, "duration_s": 60, "reason": "test"}


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with served(ApiSettings(jwt_secret="s" * 32, live_refresh_s=0.0)) as found:
        yield found


@pytest.fixture
def client(api: Served) -> Iterator[Client]:
    with Client(api.url) as found:
        found.authenticate("admin", PASSWORD)
        yield found


def test_committed_methods_are_current() -> None:
    committed = {path.stem: path.read_text() for path in generate.FOLDER.glob("*.py")}
    written = generate.modules()
    assert committed.keys() == written.keys()
    for name, text in written.items():
        found, wanted = ast.parse(committed[name]), ast.parse(text)
        assert _but_imports(found) == _but_imports(wanted), (
            f"{name}: run `python -m serve_apps.client.generate`"
        )


def _but_imports(tree: ast.Module) -> list[str]:
    return [ast.dump(node) for node in tree.body if not isinstance(node, ast.ImportFrom)]


def test_every_operation_of_the_document_is_a_method() -> None:
    names = {
        operation["operationId"]
        for operations in openapi_document()["paths"].values()
        for operation in operations.values()
    }
    assert {name for name in names if not hasattr(Client, name)} == set()
    assert len(names) > 50


def test_answers_are_of_the_servers_own_types(client: Client) -> None:
    assert client.get_park().n_resources == 3
    assert client.get_self().username == "admin"


def test_refusal_carries_the_problem_document(client: Client) -> None:
    with pytest.raises(RefusedByServerError) as refused:
        client.dispatch("site", {**BODY, "target_kw": "much"})
    assert refused.value.problem.errors is not None
    assert refused.value.problem.errors[0].field == "target_kw"
    with pytest.raises(RefusedByServerError) as missing:
        client.get_resource("../../audit")
    assert missing.value.problem.status == 404


def test_dispatch_is_followed_amended_and_cancelled(client: Client) -> None:
    made = client.dispatch("stores", BODY)
    amended = client.amend_dispatch(made.id, {"target_kw": 20.0}, version=made.version)
    assert (amended.version, amended.target_kw) == (2, 20.0)
    with pytest.raises(RefusedByServerError) as stale:
        client.amend_dispatch(made.id, {"target_kw": 30.0}, version=1)
    assert stale.value.problem.status == 412
    assert client.cancel_dispatch(made.id, {"reason": "end"}).state == "cancelled"
    assert client.get_dispatch(made.id).instruction.version == 2


def test_pages_are_followed_to_the_end(client: Client) -> None:
    for n in range(5):
        made = client.dispatch("site", BODY, key=f"page-{n}")
        client.cancel_dispatch(made.id, {"reason": "end"})
    found = [one.id for one in client.each_dispatches(aggregation="site", limit=2)]
    assert len(found) == len(set(found)) >= 5


def test_session_is_renewed_when_its_token_has_ended(api: Served) -> None:
    told = []
    with Client(api.url, on_session=told.append) as client:
        first = client.authenticate("auditor", PASSWORD)
        with Client(
            api.url,
            access_token="ended",  # noqa: S106  # of nobody
            refresh_token=first.refresh_token,
            on_session=told.append,
        ) as later:
            assert later.get_self().username == "auditor"
    assert len({session.refresh_token for session in told}) == 2


Answer = Callable[[httpx.Request], httpx.Response]


def over(answer: Answer) -> Client:
    transport = httpx.MockTransport(answer)
    http = httpx.Client(transport=transport, base_url="http://park")
    return Client("http://park", http=http, access_token="t")  # noqa: S106  # of nobody


def test_keyed_call_is_repeated_under_one_key_until_it_is_answered() -> None:
    keys: list[str] = []

    def lossy(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) < 3:
            raise httpx.ReadTimeout("lost", request=request)
        return httpx.Response(422, json=_problem(422))

    with pytest.raises(RefusedByServerError), over(lossy) as client:
        client.dispatch("site", BODY)
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_call_that_might_have_a_second_effect_is_not_repeated() -> None:
    count = itertools.count(1)

    def down(request: httpx.Request) -> httpx.Response:
        next(count)
        raise httpx.ReadTimeout("lost", request=request)

    with pytest.raises(ServerUnavailableError), over(down) as client:
        client.amend_dispatch("site.d-1", {"target_kw": 1.0}, version=1)
    assert next(count) == 2


def test_server_that_stays_away_is_a_temporary_error_with_its_problem() -> None:
    def busy(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, json=_problem(503), headers={"retry-after": "0"})

    with pytest.raises(TemporaryError) as caught, over(busy) as client:
        client.get_park()
    assert isinstance(caught.value, ServerUnavailableError)
    assert caught.value.problem is not None


def test_answer_of_something_else_is_no_answer() -> None:
    with (
        pytest.raises(ServerUnavailableError),
        over(lambda _: httpx.Response(200, text="<html>")) as client,
    ):
        client.get_park()


def _problem(status: int) -> dict[str, object]:
    return {
        "type": "urn:parkgrid:problem:x",
        "title": "X",
        "status": status,
        "detail": "x",
        "instance": "/",
        "request_id": "r",
    }


def test_live_stream_begins_with_the_whole_picture(client: Client) -> None:
    first = next(iter(client.live()))
    assert first.type == "snapshot"
    assert {one.id for one in first.aggregates} == {"site", "stores"}


def test_live_stream_without_a_token_says_why(api: Served) -> None:
    with Client(api.url) as client, pytest.raises(ServerUnavailableError, match="token"):
        next(iter(client.live()))


def test_what_waits_for_a_second_person_is_told_as_that(client: Client) -> None:
    parameters = {"capacity_kwh": 200.0, "max_charge_kw": 100.0, "max_discharge_kw": 150.0}
    body = {"name": "Battery 1", "parameters": parameters}
    with pytest.raises(AwaitsApprovalError, match="second person") as told:
        client.update_resource("bess1", body, version=1)
    approval = client.get_approval(told.value.approval.id)
    assert (approval.state, approval.subject) == ("pending", "bess1")
