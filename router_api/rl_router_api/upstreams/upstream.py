"""An upstream (the router model or a target): its address, headers, free slots, cooldown, and how its calls went."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from ..config import Secret, Target
from ..dialects.behind import Behind
from ..dialects.chat import behind as chat
from ..errors import NoCapacityError
from .breaker import Breaker
from .in_flight import InFlight
from .key import Key

_LATENCY_WEIGHT = 0.2
"""How much the last answer counts in the moving average of latencies."""
_MAX_LOGGED = 500
"""Characters of an upstream's text that are logged."""
_MIN_SECRET = 6
"""Characters below which a header's value is not taken for a secret."""


class Upstream:
    """One server that answers calls in its dialect.

    `latency` is a moving average of whole answers in seconds (None until there was one), `last_error` what was wrong
    with the last call (None if it went well), and `known` whether there was a call.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        idle_timeout: float,
        secret: Secret,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        flight: InFlight | None = None,
        max_in_flight: int | None = None,
    ) -> None:
        self.name = name
        self.idle_timeout = idle_timeout
        self.dialect: Behind = chat
        self.key = Key(secret)
        self.breaker = Breaker()
        self.latency: float | None = None
        self.last_error: str | None = None
        self.known = False
        self._flight = flight or InFlight()
        self._flight_name = f"upstream:{name}"
        self._max_in_flight = max_in_flight
        self._base_url = base_url
        self._own_headers = dict(headers or {})
        self._own_query = dict(query or {})
        self._headers_key: str | None = None
        self._headers: dict[str, str] = {}
        self._query = f"?{urlencode(self._own_query)}" if query else ""
        self._cooldown_until = 0.0
        self.calls_url = self.url(self.dialect.path)

    def url(self, path: str) -> str:
        """Returns the address of one of its endpoints."""
        return f"{self._base_url}{path}{self._query}"

    def headers(self, traceparent: str | None = None) -> dict[str, str]:
        """Returns what is sent with every call; of the client's own headers only the traceparent."""
        key = self.key.value
        if key != self._headers_key:
            self._headers, self._headers_key = self._headers_with(key), key
        return {**self._headers, "traceparent": traceparent} if traceparent else self._headers

    def _headers_with(self, key: str) -> dict[str, str]:
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        return {"Content-Type": "application/json", **self._own_headers, **authorization}

    def redact(self, text: str) -> str:
        """Returns the text without this upstream's key and secrets, at most 500 characters of it."""
        for secret in (self.key.value, *self._own_headers.values(), *self._own_query.values()):
            if len(secret) >= _MIN_SECRET:
                text = text.replace(secret, "***")
        return text[:_MAX_LOGGED]

    @property
    def in_flight(self) -> int:
        """Calls in flight, those of the server's other workers included."""
        return self._flight.total(self._flight_name)

    @property
    def free_slots(self) -> float:
        """How many further calls may be in flight."""
        return math.inf if self._max_in_flight is None else self._max_in_flight - self.in_flight

    def begin(self) -> int:
        """Starts a call and returns its number. Raises NoCapacityError if there is no free slot."""
        # Counted before it is looked at, so that of several workers at once none believes the last slot to be its own.
        self._flight.change(self._flight_name, 1)
        if self._max_in_flight is not None and self.free_slots < 0:
            self._flight.change(self._flight_name, -1)
            raise NoCapacityError
        return self.breaker.begin()

    def end(self) -> None:
        """A call ended, however it did."""
        self._flight.change(self._flight_name, -1)

    @property
    def cooldown(self) -> float:
        """Seconds until it may be asked again after a 429; 0 if it may be asked now."""
        return max(0.0, self._cooldown_until - time.monotonic()) if self._cooldown_until else 0.0

    def cool_down(self, seconds: float) -> None:
        """The upstream said 429: it gets no new request for so long."""
        self._cooldown_until = time.monotonic() + seconds

    @property
    def ready(self) -> bool:
        """Whether neither the breaker nor a cooldown stands against a call."""
        return self.breaker.ready and not self.cooldown

    def succeeded(self, seconds: float) -> None:
        """A whole answer came after so long."""
        self.breaker.succeeded()
        self.known, self.last_error = True, None
        before = self.latency
        self.latency = seconds if before is None else before + _LATENCY_WEIGHT * (seconds - before)

    def failed(self, call: int, error: str, *, counts: bool) -> None:
        """The call failed; `counts` is whether the breaker counts it."""
        self.known, self.last_error = True, error
        if counts:
            self.breaker.failed(call)
        else:
            self.breaker.succeeded()


def of_target(target: Target, flight: InFlight | None = None) -> Upstream:
    """Returns the upstream behind a configured target."""
    return Upstream(
        target.name, target.base_url, target.timeout, target, headers=target.headers, query=target.query,
        flight=flight, max_in_flight=target.max_in_flight,
    )  # fmt: skip


def without_credentials(url: str) -> str:
    """Returns the address as it may be shown."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
