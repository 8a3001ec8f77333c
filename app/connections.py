"""Limits connections: how many are open, and how long a request's headers may take.

uvicorn reads headers for as long as a client likes, so a few hundred half-sent requests could hold
all connections of the server.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.limits import Limits

FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nConnection: close\r\n\r\n"
LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"


def protocol_with(limits: Limits) -> type[H11Protocol]:
    """Returns a protocol for uvicorn that keeps these limits."""

    class LimitedProtocol(H11Protocol):
        head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                self._refuse(FULL % limits.retry_after_s)
            else:
                self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()  # the whole head is here
            elif self.head_timer is None:
                self._wait_for_head()  # the next request has begun

        def _wait_for_head(self) -> None:
            self.head_timer = self.loop.call_later(limits.head_time_limit_s, self._refuse, LATE)

        def _stop_waiting(self) -> None:
            if self.head_timer:
                self.head_timer.cancel()
                self.head_timer = None

        def _refuse(self, answer: bytes) -> None:
            self.transport.write(answer)
            self.transport.close()

    return LimitedProtocol
