"""The state of an upstream: URLs, headers, free slots, cooldown, circuit breaker and latency."""

from __future__ import annotations

import math
from collections.abc import Mapping
from urllib.parse import urlencode

from ..config import Secret, Target
from ..dialects.chat import upstream_side as chat
from ..dialects.upstream_dialect import UpstreamDialect
from ..errors import NoCapacityError
from ..version import __version__
from .breaker import Breaker
from .cooldown import Cooldown
from .in_flight import InFlight
from .key import Key
from .refused_additions import RefusedAdditions

_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "User-Agent": f"rl-router/{__version__}",
}
_LATENCY_WEIGHT = 0.2
"""The weight of the latency of the last answer in the moving average of the latencies."""
_MAX_LOGGED = 500
"""The maximum number of characters of an upstream's text that the router writes to the log or returns to a client."""
_MIN_SECRET = 6
"""The minimum number of characters of an API key, header value or query value that is redacted as a secret."""


class Upstream:
    """One server that the router API calls: the router model or a target.

    The attribute `latency` is the moving average, in seconds, of the latencies of complete answers (None before the
    first complete answer). The attribute `last_error` is the error of the last call or health probe that succeeded or
    failed (None if it succeeded or `known` is False). The attribute `known` says whether any call or health probe has
    succeeded or failed. Calls whose request the upstream rejected do not change these two attributes.
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
        key_header: str | None = None,
        in_flight: InFlight | None = None,
        max_in_flight: int | None = None,
    ) -> None:
        self.name = name
        self.idle_timeout = idle_timeout
        self.dialect: UpstreamDialect = chat
        self.key = Key(secret)
        self.breaker = Breaker()
        self.latency: float | None = None
        self.last_error: str | None = None
        self.known = False
        self._in_flight = in_flight or InFlight()
        self._in_flight_name = f"upstream:{name}"
        self._max_in_flight = max_in_flight
        self._base_url = base_url
        self._own_headers = dict(headers or {})
        self._key_header = key_header
        self._own_query = dict(query or {})
        self._headers_key: str | None = None
        self._headers: dict[str, str] = {}
        self._query = f"?{urlencode(self._own_query)}" if query else ""
        self.cooldown = Cooldown()
        self.refused_additions = RefusedAdditions()
        self.calls_url = self.url(self.dialect.path)

    def url(self, path: str) -> str:
        """Returns the upstream's base URL, followed by the path `path` and the configured query."""
        return f"{self._base_url}{path}{self._query}"

    def headers(self, traceparent: str | None = None) -> dict[str, str]:
        """Returns the headers of a call.

        The header `traceparent` is the only header of the client's request that the router passes on to the upstream.
        """
        key = self.key.value
        if key != self._headers_key:
            self._headers, self._headers_key = self._headers_with(key), key
        return {**self._headers, "traceparent": traceparent} if traceparent else self._headers

    def _headers_with(self, key: str) -> dict[str, str]:
        header, prefix = (self._key_header, "") if self._key_header else ("Authorization", "Bearer ")
        authorization = {header: prefix + key} if key else {}
        own = {name.lower() for name in self._own_headers}
        ours = {name: value for name, value in _HEADERS.items() if name.lower() not in own}
        return {**ours, **self._own_headers, **authorization}

    def redact(self, text: str) -> str:
        """Returns the first 500 characters of the text, in which `***` replaces the upstream's secrets.

        The secrets are the API key and the values of the configured headers and query that have at least 6 characters.
        """
        for secret in (self.key.value, *self._own_headers.values(), *self._own_query.values()):
            if len(secret) >= _MIN_SECRET:
                text = text.replace(secret, "***")
        return text[:_MAX_LOGGED]

    @property
    def in_flight(self) -> int:
        """The number of in-flight calls to a target from all workers, or to the router model from this worker."""
        return self._in_flight.total(self._in_flight_name)

    @property
    def free_slots(self) -> float:
        """The number of calls to the upstream that may begin now. The number is infinite if `max_in_flight` is not
        configured."""
        return math.inf if self._max_in_flight is None else self._max_in_flight - self.in_flight

    def begin(self) -> int:
        """Starts a call and returns the number of the call. Raises NoCapacityError if the upstream has no free slot."""
        # The count is increased before the check, so that two workers cannot both take the last slot.
        self._in_flight.change(self._in_flight_name, 1)
        if self._max_in_flight is not None and self.free_slots < 0:
            self._in_flight.change(self._in_flight_name, -1)
            raise NoCapacityError
        return self.breaker.begin()

    def end(self) -> None:
        """Frees the slot of a call that has ended."""
        self._in_flight.change(self._in_flight_name, -1)

    @property
    def ready(self) -> bool:
        """Whether the circuit breaker and the cooldown allow a call to the upstream now."""
        return self.breaker.ready and not self.cooldown.seconds

    def succeeded(self, seconds: float) -> None:
        """Records a call with a complete answer, and the latency of the call in seconds."""
        self.breaker.succeeded()
        self.cooldown.succeeded()
        self.known, self.last_error = True, None
        average = self.latency
        self.latency = seconds if average is None else average + _LATENCY_WEIGHT * (seconds - average)

    def failed(self, call: int, error: str | None, *, counts: bool) -> None:
        """Records a failed call.

        The parameter `error` is None if the upstream rejected the request. In this case, `known` and `last_error` do
        not change. The parameter `counts` says whether the circuit breaker counts the call as a failure or as a
        success.
        """
        if error is not None:
            self.known, self.last_error = True, error
        if counts:
            self.breaker.failed(call)
        else:
            self.breaker.succeeded()


def upstream_of(target: Target, in_flight: InFlight | None = None) -> Upstream:
    """Returns a new upstream for a target."""
    return Upstream(
        target.name, target.base_url, target.timeout, target, headers=target.headers, query=target.query,
        key_header=target.api_key_header,
        in_flight=in_flight, max_in_flight=target.max_in_flight,
    )  # fmt: skip


def without_credentials(url: str) -> str:
    """Returns a URL without the user name and the password that the URL may contain."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
