"""What actors need of the outside, apart from them, so that who names it need not import them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.links.mqtt import MqttSettings
from controllers.ports.actors import ActorStoreFactory, RecordSink
from controllers.ports.alarms import AlarmSourceFactory
from controllers.ports.devices import DeviceLedger
from controllers.ports.history import HistorySettings, HistoryWriter
from controllers.ports.optimizers import OptimizerLedgerFactory
from controllers.ports.registry import ParkRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Connections and stores; picklable, chosen by the composition root."""

    mqtt: MqttSettings
    """The broker, with the account that may use the inner topics."""
    open_store: ActorStoreFactory
    open_registry: Callable[[], ParkRegistry]
    open_sink: Callable[[], RecordSink]
    open_devices: Callable[[], DeviceLedger]
    open_history: Callable[[], HistoryWriter]
    history: HistorySettings
    open_alarms: AlarmSourceFactory
    open_optimizers: OptimizerLedgerFactory
    optimizers: Path
    """Folder of what belongs to deployed optimizers."""
    notice_networks: tuple[str, ...] = ()
    """To which notices of alarms may go although they are not public."""
