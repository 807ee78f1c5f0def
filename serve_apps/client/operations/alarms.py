"""Calls of the API, alarms; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from controllers.alarms.channels import Delivery
from controllers.alarms.lifecycle import Alarm
from controllers.ports.alarms import AlarmCounts, AlarmDetail, StoredChannel, StoredRule
from serve_apps.alarms.bodies import (
    BulkNoteBody,
    ChannelBody,
    CreateChannelBody,
    CreateRuleBody,
    NoteBody,
    RuleBody,
    ShelveBody,
)
from serve_apps.alarms.views import (
    AlarmChannelPage,
    AlarmPage,
    AlarmRulePage,
    BulkAcknowledgement,
    SignalList,
)
from serve_apps.client.transport import Transport, part


class AlarmsCalls(Transport):
    """Operations of the domain: alarms."""

    def list_alarms(
        self,
        *,
        state: str | None = None,
        standing: bool | None = None,
        severity: str | None = None,
        subject: str | None = None,
        rule: str | None = None,
        group: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        limit: int | None = None,
        sort: str | None = None,
        cursor: str | None = None,
    ) -> AlarmPage:
        """Return alarms raised in ``[from, to)``."""
        return self.call(
            AlarmPage,
            "GET",
            "/api/vpp/alarms",
            query={
                "state": state,
                "standing": standing,
                "severity": severity,
                "subject": subject,
                "rule": rule,
                "group": group,
                "from": from_,
                "to": to,
                "limit": limit,
                "sort": sort,
                "cursor": cursor,
            },
        )

    def each_alarms(
        self,
        *,
        state: str | None = None,
        standing: bool | None = None,
        severity: str | None = None,
        subject: str | None = None,
        rule: str | None = None,
        group: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        limit: int | None = None,
        sort: str | None = None,
    ) -> Iterator[Alarm]:
        """Yield the items of all pages of ``list_alarms``."""
        cursor: str | None = None
        while True:
            page = self.list_alarms(
                state=state,
                standing=standing,
                severity=severity,
                subject=subject,
                rule=rule,
                group=group,
                from_=from_,
                to=to,
                limit=limit,
                sort=sort,
                cursor=cursor,
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def count_alarms(self) -> AlarmCounts:
        """Return how many alarms stand."""
        return self.call(AlarmCounts, "GET", "/api/vpp/alarms/counts")

    def acknowledge_alarms(self, body: BulkNoteBody | Mapping[str, object]) -> BulkAcknowledgement:
        """Take note of several alarms; each is told apart. Repeating it changes nothing more."""
        return self.call(BulkAcknowledgement, "POST", "/api/vpp/alarms/acknowledge", body=body)

    def get_alarm(self, alarm_id: str) -> AlarmDetail:
        """Return an alarm with its history and every notice that was sent of it."""
        return self.call(AlarmDetail, "GET", f"/api/vpp/alarms/{part(alarm_id)}")

    def acknowledge_alarm(
        self, alarm_id: str, body: NoteBody | Mapping[str, object], *, key: str | None = None
    ) -> Alarm:
        """Take note of an alarm; of a group, and so of all it speaks for."""
        return self.call(
            Alarm,
            "POST",
            f"/api/vpp/alarms/{part(alarm_id)}/acknowledge",
            body=body,
            key=key,
            keyed=True,
        )

    def shelve_alarm(
        self, alarm_id: str, body: ShelveBody | Mapping[str, object], *, key: str | None = None
    ) -> Alarm:
        """Silence an alarm until an instant; a repeat moves the instant."""
        return self.call(
            Alarm,
            "POST",
            f"/api/vpp/alarms/{part(alarm_id)}/shelve",
            body=body,
            key=key,
            keyed=True,
        )

    def unshelve_alarm(
        self, alarm_id: str, body: NoteBody | Mapping[str, object], *, key: str | None = None
    ) -> Alarm:
        """Let go of a shelved alarm; one that is not shelved stays as it is."""
        return self.call(
            Alarm,
            "POST",
            f"/api/vpp/alarms/{part(alarm_id)}/unshelve",
            body=body,
            key=key,
            keyed=True,
        )

    def clear_alarm(
        self, alarm_id: str, body: NoteBody | Mapping[str, object], *, key: str | None = None
    ) -> Alarm:
        """End an alarm that has returned and that nobody took note of."""
        return self.call(
            Alarm, "POST", f"/api/vpp/alarms/{part(alarm_id)}/clear", body=body, key=key, keyed=True
        )

    def list_alarm_signals(self) -> SignalList:
        """Return what a rule may watch."""
        return self.call(SignalList, "GET", "/api/vpp/alarm-signals")

    def list_alarm_rules(
        self, *, limit: int | None = None, sort: str | None = None, cursor: str | None = None
    ) -> AlarmRulePage:
        """Return rules; sort by ``id``, ``name`` or ``changed_at``."""
        return self.call(
            AlarmRulePage,
            "GET",
            "/api/vpp/alarm-rules",
            query={"limit": limit, "sort": sort, "cursor": cursor},
        )

    def each_alarm_rules(
        self, *, limit: int | None = None, sort: str | None = None
    ) -> Iterator[StoredRule]:
        """Yield the items of all pages of ``list_alarm_rules``."""
        cursor: str | None = None
        while True:
            page = self.list_alarm_rules(limit=limit, sort=sort, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def create_alarm_rule(
        self, body: CreateRuleBody | Mapping[str, object], *, key: str | None = None
    ) -> StoredRule:
        """Create a rule; it is in force within seconds."""
        return self.call(StoredRule, "POST", "/api/vpp/alarm-rules", body=body, key=key, keyed=True)

    def get_alarm_rule(self, rule_id: str) -> StoredRule:
        """Return a rule."""
        return self.call(StoredRule, "GET", f"/api/vpp/alarm-rules/{part(rule_id)}")

    def replace_alarm_rule(
        self, rule_id: str, body: RuleBody | Mapping[str, object], *, version: int | None = None
    ) -> StoredRule:
        """Replace a rule; what stands because of it goes on standing if it still covers it."""
        return self.call(
            StoredRule, "PUT", f"/api/vpp/alarm-rules/{part(rule_id)}", body=body, version=version
        )

    def delete_alarm_rule(self, rule_id: str, *, version: int | None = None) -> bytes:
        """Delete a rule; alarms that stand because of it go out of service."""
        return self.send("DELETE", f"/api/vpp/alarm-rules/{part(rule_id)}", version=version).content

    def list_alarm_channels(
        self, *, limit: int | None = None, sort: str | None = None, cursor: str | None = None
    ) -> AlarmChannelPage:
        """Return channels; sort by ``id``, ``name`` or ``changed_at``."""
        return self.call(
            AlarmChannelPage,
            "GET",
            "/api/vpp/alarm-channels",
            query={"limit": limit, "sort": sort, "cursor": cursor},
        )

    def each_alarm_channels(
        self, *, limit: int | None = None, sort: str | None = None
    ) -> Iterator[StoredChannel]:
        """Yield the items of all pages of ``list_alarm_channels``."""
        cursor: str | None = None
        while True:
            page = self.list_alarm_channels(limit=limit, sort=sort, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def create_alarm_channel(
        self, body: CreateChannelBody | Mapping[str, object], *, key: str | None = None
    ) -> StoredChannel:
        """Create a channel; name it in rules to use it."""
        return self.call(
            StoredChannel, "POST", "/api/vpp/alarm-channels", body=body, key=key, keyed=True
        )

    def get_alarm_channel(self, channel_id: str) -> StoredChannel:
        """Return a channel, without its secret."""
        return self.call(StoredChannel, "GET", f"/api/vpp/alarm-channels/{part(channel_id)}")

    def replace_alarm_channel(
        self,
        channel_id: str,
        body: ChannelBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> StoredChannel:
        """Replace a channel; without a secret the old one stays, if the endpoint does."""
        return self.call(
            StoredChannel,
            "PUT",
            f"/api/vpp/alarm-channels/{part(channel_id)}",
            body=body,
            version=version,
        )

    def delete_alarm_channel(self, channel_id: str, *, version: int | None = None) -> bytes:
        """Delete a channel; rules that name it tell the others."""
        return self.send(
            "DELETE", f"/api/vpp/alarm-channels/{part(channel_id)}", version=version
        ).content

    def try_alarm_channel(self, channel_id: str) -> Delivery:
        """Send one notice, now and once, and tell how it went; repeating it sends another."""
        return self.call(Delivery, "POST", f"/api/vpp/alarm-channels/{part(channel_id)}/test")
