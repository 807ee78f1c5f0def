"""All calls of the API, one module per domain."""

from serve_apps.client.operations.accounts import AccountsCalls
from serve_apps.client.operations.aggregations import AggregationsCalls
from serve_apps.client.operations.alarms import AlarmsCalls
from serve_apps.client.operations.approvals import ApprovalsCalls
from serve_apps.client.operations.by_hand import ByHandCalls
from serve_apps.client.operations.devices import DevicesCalls
from serve_apps.client.operations.dispatch import DispatchCalls
from serve_apps.client.operations.history import HistoryCalls
from serve_apps.client.operations.maintenance import MaintenanceCalls
from serve_apps.client.operations.optimizers import OptimizersCalls
from serve_apps.client.operations.park import ParkCalls
from serve_apps.client.operations.resources import ResourcesCalls
from serve_apps.client.operations.session import SessionCalls
from serve_apps.client.operations.system import SystemCalls
from serve_apps.client.operations.templates import TemplatesCalls


class AllCalls(
    ParkCalls,
    ResourcesCalls,
    AggregationsCalls,
    DispatchCalls,
    ByHandCalls,
    AlarmsCalls,
    DevicesCalls,
    MaintenanceCalls,
    TemplatesCalls,
    OptimizersCalls,
    HistoryCalls,
    SessionCalls,
    AccountsCalls,
    ApprovalsCalls,
    SystemCalls,
):
    """Every operation of the document."""
