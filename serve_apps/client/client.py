"""The client of the API: every operation as a method, and the live stream as an iterator."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from controllers.alarms.lifecycle import Alarm
from controllers.kernel.wire import encode
from serve_apps.client.errors import ServerUnavailableError
from serve_apps.client.operations import AllCalls
from serve_apps.live.stream import AuthMessage
from serve_apps.operations.views import LivePictureView

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class LiveMessage(LivePictureView):
    """One message of the stream: the whole picture at first, then what changed."""

    type: str
    """``snapshot`` or ``delta``; a delta without states is the heartbeat."""
    alarms: list[Alarm] = []
    """Standing alarms in the snapshot, then those that changed."""


class Client(AllCalls):
    """One user's or program's access to one server.

    >>> with Client("http://127.0.0.1:8000") as park:
    ...     park.authenticate("operator", password)
    ...     report = park.get_dispatch("vpp-park.d-01jz")
    """

    def live(self) -> Iterator[LiveMessage]:
        """Yield the live picture and its changes until the caller stops or the stream ends.

        Raises:
            ServerUnavailableError: not reached, not admitted, or the stream ended; begin anew.
        """
        address = f"ws{self.url.removeprefix('http')}/ws/live"
        try:
            with connect(address, max_size=_MAX_MESSAGE_BYTES) as socket:
                auth = AuthMessage(type="auth", token=self.access_token or "")
                socket.send(encode(auth).decode())
                for message in socket:
                    yield msgspec.json.decode(message, type=LiveMessage)
        except ConnectionClosed as closed:
            reason = closed.rcvd.reason if closed.rcvd is not None else "the connection broke"
            raise ServerUnavailableError(f"{address}: {reason}") from closed
        except (OSError, InvalidHandshake) as error:
            raise ServerUnavailableError(f"{address}: {error}") from error
        raise ServerUnavailableError(f"{address}: the stream ended")
