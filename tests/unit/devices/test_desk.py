"""The desk: what devices said, what they are to be told, and what is to be written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from controllers.control.contract import DeviceMode, Status
from controllers.devices.book import DeviceBook
from controllers.devices.commands import DeviceCommand, ManageState
from controllers.devices.configuration import ConfigurationVersion
from controllers.devices.connectivity import Heard
from controllers.devices.desk import DeviceDesk
from controllers.devices.maintenance import MaintenanceWindow, WindowState
from controllers.devices.messages import ManageKind, ManageOutcome, ManageResult
from controllers.devices.registration import Device
from controllers.kernel.ids import SequentialIds

NOW = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
DEVICE = Device(
    id="d1", resource_id="bess1", registered_by="ann", registered_at=NOW, changed_at=NOW
)
WINDOW = MaintenanceWindow(
    id="w1",
    device_id="d1",
    resource_id="bess1",
    start_at=NOW + timedelta(minutes=1),
    end_at=NOW + timedelta(minutes=5),
    reason="fans",
    planned_by="mia",
    planned_at=NOW,
)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def command(kind: ManageKind = ManageKind.IDENTIFY, **changes: object) -> DeviceCommand:
    given = DeviceCommand(
        id="c1",
        device_id="d1",
        kind=kind,
        reason="x",
        issued_by="mia",
        issued_at=NOW,
        expires_at=at(60.0),
    )
    return msgspec.structs.replace(given, **changes)


def desk(*commands: DeviceCommand, window: MaintenanceWindow | None = None) -> DeviceDesk:
    opened = DeviceDesk(SequentialIds())
    opened.open(
        DeviceBook(
            devices={"bess1": DEVICE},
            commands={c.id: c for c in commands},
            windows={} if window is None else {window.id: window},
        )
    )
    return opened


def status(mode: str = "online", boot: str = "b1", **fields: object) -> Status:
    return msgspec.structs.replace(Status(mode=DeviceMode(mode), boot_id=boot), **fields)


def result(outcome: str, id_: str = "c1", reason: str | None = None) -> ManageResult:
    return ManageResult(command_id=id_, result=ManageOutcome(outcome), reason=reason, at=NOW)


def test_command_goes_out_once_is_acknowledged_and_applied() -> None:
    open_desk = desk(command())
    ((resource, due),) = open_desk.commands_due(NOW)
    assert (resource, due.id) == ("bess1", "c1")
    open_desk.note_sent(due, at(1.0))
    assert open_desk.commands_due(at(1.0)) == []
    assert open_desk.hear_result("bess1", result("accepted"), at(2.0))
    assert open_desk.hear_result("bess1", result("done", reason="blinked"), at(3.0))
    written = open_desk.take_news().commands["c1"]
    assert (written.state, written.detail) == (ManageState.APPLIED, "blinked")
    assert (written.sent_at, written.acknowledged_at, written.ended_at) == (
        at(1.0),
        at(2.0),
        at(3.0),
    )
    assert not open_desk.hear_result("bess1", result("failed"), at(4.0))


@pytest.mark.parametrize(
    ("outcome", "state"), [("rejected", ManageState.REJECTED), ("failed", ManageState.FAILED)]
)
def test_refusal_ends_a_command(outcome: str, state: ManageState) -> None:
    open_desk = desk(command())
    open_desk.hear_result("bess1", result(outcome, reason="no"), NOW)
    written = open_desk.take_news().commands["c1"]
    assert (written.state, written.detail, written.is_open) == (state, "no", False)


def test_answer_under_another_resources_topics_is_nobodys() -> None:
    open_desk = desk(command())
    assert not open_desk.hear_result("pv1", result("done"), NOW)
    assert not open_desk.take_news()


def test_command_waits_for_a_device_that_signed_off_and_expires() -> None:
    open_desk = desk(command())
    open_desk.hear_status("bess1", status("offline"), NOW)
    assert open_desk.commands_due(NOW) == []
    open_desk.tick(at(59.9))
    assert "c1" not in open_desk.take_news().commands
    open_desk.tick(at(60.0))
    written = open_desk.take_news().commands["c1"]
    assert (written.state, written.detail) == (ManageState.EXPIRED, "the device was not there")
    open_desk.hear_status("bess1", status("online"), at(61.0))
    assert open_desk.commands_due(at(61.0)) == []


def test_new_boot_completes_a_reboot_that_was_sent_and_nothing_else() -> None:
    asked = command(ManageKind.REBOOT)
    other = command(ManageKind.IDENTIFY, id="c2")
    waiting = command(ManageKind.REBOOT, id="c3")
    open_desk = desk(asked, other, waiting)
    open_desk.hear_status("bess1", status(boot="b1"), NOW)
    open_desk.note_sent(asked, NOW)
    open_desk.note_sent(other, NOW)
    open_desk.hear_status("bess1", status(boot="b2"), at(5.0))
    states = {id_: c.state for id_, c in open_desk.take_news().commands.items()}
    assert states == {"c1": ManageState.APPLIED, "c2": ManageState.SENT}


def test_news_that_could_not_be_written_come_again_under_later_ones() -> None:
    open_desk = desk(command())
    open_desk.note_sent(command(), NOW)
    open_desk.hear_status("bess1", status(), NOW)
    lost = open_desk.take_news()
    open_desk.hear_result("bess1", result("accepted"), at(1.0))
    open_desk.put_back(lost)
    again = open_desk.take_news()
    assert again.commands["c1"].state is ManageState.ACKNOWLEDGED
    assert again.reports["d1"].boot_id == "b1"
    assert not open_desk.take_news()


def test_old_book_does_not_undo_what_is_not_written_yet() -> None:
    open_desk = desk(command())
    open_desk.hear_result("bess1", result("done"), NOW)
    open_desk.open(DeviceBook(devices={"bess1": DEVICE}, commands={"c1": command()}))
    assert open_desk.commands_due(NOW) == []


def test_same_status_again_is_no_news_and_what_it_leaves_out_stays() -> None:
    open_desk = desk()
    open_desk.hear_status("bess1", status(firmware="1.0", configuration_version=3), NOW)
    open_desk.take_news()
    open_desk.hear_status("bess1", status(firmware="1.0", configuration_version=3), at(1.0))
    assert not open_desk.take_news()
    open_desk.hear_status("bess1", status("offline"), at(2.0))
    report = open_desk.take_news().reports["d1"]
    assert (report.firmware, report.configuration_version) == ("1.0", 3)


def test_status_that_came_before_the_registration_counts_once_it_is_known() -> None:
    open_desk = DeviceDesk(SequentialIds())
    open_desk.hear_status("bess1", status(firmware="1.0"), NOW)
    assert not open_desk.take_news()
    open_desk.open(DeviceBook(devices={"bess1": DEVICE}))
    assert open_desk.take_news().reports["d1"].heard_at == NOW


def test_firmware_changes_are_noted_but_not_more_than_once_a_minute() -> None:
    open_desk = desk()
    open_desk.hear_status("bess1", status(firmware="1.0"), NOW)
    first = open_desk.take_news().firmware["d1"]
    assert (first.previous, first.firmware) == (None, "1.0")
    for i in range(20):
        open_desk.hear_status("bess1", status(firmware=f"2.{i}"), at(1.0 + i))
    open_desk.tick(at(30.0))
    assert open_desk.take_news().firmware == {}
    open_desk.tick(at(60.0))
    second = open_desk.take_news().firmware["d1"]
    assert (second.previous, second.firmware) == ("1.0", "2.19")


def test_configuration_is_told_once_and_again_when_the_broker_may_have_forgotten() -> None:
    version = ConfigurationVersion(
        device_id="d1",
        version=2,
        settings={"led": True},
        note="n",
        created_by="mia",
        created_at=NOW,
    )
    open_desk = desk()
    assert open_desk.configurations_due() == []
    open_desk.open(DeviceBook(devices={"bess1": DEVICE}, configurations={"bess1": version}))
    assert open_desk.configurations_due() == [("bess1", version)]
    open_desk.note_configured("bess1", version)
    assert open_desk.configurations_due() == []
    open_desk.forget_configured()
    assert open_desk.configurations_due() == [("bess1", version)]


def test_successor_without_a_configuration_has_its_predecessors_taken_back() -> None:
    successor = msgspec.structs.replace(DEVICE, id="d2")
    open_desk = desk()
    book = DeviceBook(devices={"bess1": successor}, configurations={"bess1": None})
    open_desk.open(book)
    assert open_desk.configurations_due() == [("bess1", None)]
    open_desk.note_configured("bess1", None)
    assert open_desk.configurations_due() == []


def test_window_is_held_from_its_start_and_over_at_its_end() -> None:
    open_desk = desk(window=WINDOW)
    assert open_desk.holds_due(at(59.0)) == []
    (due,) = open_desk.holds_due(at(60.0))
    open_desk.note_held(due, at(60.0))
    assert open_desk.holds_due(at(61.0)) == []
    opened = open_desk.take_news().windows["w1"]
    assert (opened.state, opened.opened_at) == (WindowState.OPEN, at(60.0))
    open_desk.tick(at(300.0))
    assert open_desk.take_news().windows["w1"].state is WindowState.ENDED
    assert open_desk.releases_due() == []


def test_changed_end_is_told_to_the_resource_again() -> None:
    open_desk = desk(window=WINDOW)
    open_desk.note_held(WINDOW, at(60.0))
    longer = msgspec.structs.replace(
        WINDOW, state=WindowState.OPEN, version=2, end_at=at(900.0), opened_at=at(60.0)
    )
    open_desk.open(DeviceBook(devices={"bess1": DEVICE}, windows={"w1": longer}))
    assert open_desk.holds_due(at(70.0)) == [longer]
    open_desk.note_held(longer, at(70.0))
    assert open_desk.take_news().windows["w1"].opened_at == at(60.0)


def test_window_ended_by_hand_while_the_resource_was_being_told_is_released() -> None:
    open_desk = desk(window=WINDOW)
    (due,) = open_desk.holds_due(at(60.0))
    ending = msgspec.structs.replace(WINDOW, state=WindowState.ENDING, version=2)
    open_desk.open(DeviceBook(devices={"bess1": DEVICE}, windows={"w1": ending}))
    open_desk.note_held(due, at(61.0))
    assert open_desk.releases_due() == [ending]
    open_desk.note_released(ending)
    assert open_desk.take_news().windows["w1"].state is WindowState.ENDED


def test_connectivity_counts_messages_gaps_disconnects_and_time_online() -> None:
    open_desk = desk()
    open_desk.hear_status("bess1", status(), NOW)
    heard = Heard(n_messages=100, last_seen_at=at(0.0))
    open_desk.look("bess1", 1, heard, at(0.0))
    heard = Heard(n_messages=130, n_gaps=1, last_gap_s=14.0, last_seen_at=at(29.0))
    open_desk.look("bess1", 1, heard, at(30.0))
    open_desk.hear_status("bess1", status("offline"), at(31.0))
    open_desk.look("bess1", 1, heard, at(60.0))
    # The resource's process was replaced: its counters begin anew.
    open_desk.look("bess1", 2, Heard(n_messages=5, last_seen_at=at(89.0)), at(90.0))
    (row,) = open_desk.take_news().connectivity.values()
    assert (row.watched_s, row.online_s) == (90.0, 30.0)
    assert (row.n_messages, row.n_gaps, row.longest_gap_s) == (35, 1, 14.0)
    assert (row.n_disconnects, row.last_seen_at) == (1, at(89.0))


def test_time_nobody_watched_and_the_day_before_do_not_count() -> None:
    open_desk = desk()
    open_desk.look("bess1", 1, Heard(n_messages=1, last_seen_at=NOW), NOW)
    open_desk.look("bess1", 1, Heard(n_messages=9, last_seen_at=at(500.0)), at(500.0))
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    before, later = midnight - timedelta(seconds=10), midnight + timedelta(seconds=20)
    open_desk.look("bess1", 1, Heard(n_messages=9, last_seen_at=before), before)
    open_desk.look("bess1", 1, Heard(n_messages=19, last_seen_at=later), later)
    rows = open_desk.take_news().connectivity
    first, second = rows["d1", NOW.date()], rows["d1", midnight.date()]
    assert (first.watched_s, first.n_messages) == (0.0, 8)
    assert (second.watched_s, second.online_s, second.n_messages) == (20.0, 20.0, 10)
