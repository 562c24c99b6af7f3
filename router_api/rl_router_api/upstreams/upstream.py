"""An upstream (the router model or a target): how to reach it, and how it has been lately."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode

from ..config import Price, Secret, Target
from ..errors import NoCapacityError
from .breaker import Breaker
from .in_flight import Flight

_LOOK_AGAIN = 1.0
_LATENCY_WEIGHT = 0.2


class Key:
    """A key by environment variable or file; the file is looked at again each second, so that a new key is used."""

    def __init__(
        self, secret: Secret, environment: Mapping[str, str] = os.environ, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._variable, self._file, self._environment = secret.api_key_env, secret.api_key_file, environment
        self._now = now
        self._looked = -_LOOK_AGAIN
        self._text = ""

    @property
    def wanted(self) -> bool:
        return bool(self._variable or self._file)

    @property
    def value(self) -> str:
        """The key, or an empty text where none is wanted or it is not there."""
        if self._variable:
            return self._environment.get(self._variable, "").strip()
        if self._file and self._now() - self._looked >= _LOOK_AGAIN:
            self._looked = self._now()
            self._text = self._read()
        return self._text

    @property
    def missing(self) -> str | None:
        """Why there is no key although one is wanted, in a few words."""
        if not self.wanted or self.value:
            return None
        return f"{self._variable} is not set" if self._variable else f"{self._file} is missing or empty"

    def _read(self) -> str:
        try:
            return Path(self._file or "").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""


class Upstream:
    """One address that answers chat completions.

    `latency` is a moving average of whole answers in seconds (None until there was one), `trouble` what was wrong with
    the last call (None where it went well), and `known` whether there was one.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        silence: float,
        secret: Secret,
        price: Price | None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        flight: Flight | None = None,
        most: int | None = None,
    ) -> None:
        self.name = name
        self.silence = silence
        self.price = price
        self.key = Key(secret)
        self.breaker = Breaker()
        self.latency: float | None = None
        self._flight = flight or Flight()
        self._most = most
        self.trouble: str | None = None
        self.known = False
        self._flight_name = f"upstream:{name}"
        self._base_url = base_url
        self._own_headers = dict(headers or {})
        self._own_query = dict(query or {})
        self._headers_key: str | None = None
        self._headers: dict[str, str] = {}
        self._query = f"?{urlencode(self._own_query)}" if query else ""
        self._set_aside_until = 0.0
        self.completions_url = self.url("/chat/completions")

    def url(self, path: str) -> str:
        """The address of one of its endpoints."""
        return f"{self._base_url}{path}{self._query}"

    def headers(self, traceparent: str | None = None) -> dict[str, str]:
        """What is sent with every call; of the client's own headers only the traceparent."""
        key = self.key.value
        if key != self._headers_key:
            self._headers, self._headers_key = self._made_headers(key), key
        return {**self._headers, "traceparent": traceparent} if traceparent else self._headers

    def _made_headers(self, key: str) -> dict[str, str]:
        proof = {"Authorization": f"Bearer {key}"} if key else {}
        return {"Content-Type": "application/json", **self._own_headers, **proof}

    def scrub(self, text: str) -> str:
        """The text without this upstream's key and secrets, cut to 500 characters."""
        for hidden in (self.key.value, *self._own_headers.values(), *self._own_query.values()):
            if len(hidden) >= 6:
                text = text.replace(hidden, "***")
        return text[:500]

    @property
    def in_flight(self) -> int:
        """Calls under way, those of the server's other workers included."""
        return self._flight.total(self._flight_name)

    @property
    def places(self) -> float:
        """How many further calls it may have under way."""
        return math.inf if self._most is None else self._most - self.in_flight

    def begin(self) -> int:
        """A call starts; returns its number. Raises NoCapacityError where there is no place for it."""
        # Taken before it is counted, so that of several workers at once none believes the last place to be its own.
        self._flight.change(self._flight_name, 1)
        if self._most is not None and self.places < 0:
            self._flight.change(self._flight_name, -1)
            raise NoCapacityError
        return self.breaker.begin()

    def end(self) -> None:
        """A call ended, however it did."""
        self._flight.change(self._flight_name, -1)

    @property
    def set_aside(self) -> float:
        """Seconds until it may be asked again after a 429; 0 where that is now."""
        return max(0.0, self._set_aside_until - time.monotonic()) if self._set_aside_until else 0.0

    def put_aside(self, seconds: float) -> None:
        """It said 429: no new request until then."""
        self._set_aside_until = time.monotonic() + seconds

    @property
    def ready(self) -> bool:
        """Whether neither the breaker nor a 429 stands against a call."""
        return self.breaker.ready and not self.set_aside

    def went_well(self, seconds: float) -> None:
        """A whole answer came."""
        self.breaker.succeeded()
        self.known, self.trouble = True, None
        old = self.latency
        self.latency = seconds if old is None else old + _LATENCY_WEIGHT * (seconds - old)

    def went_wrong(self, call: int, trouble: str, *, counts: bool) -> None:
        """The call failed; `counts` where the breaker is to hear of it."""
        self.known, self.trouble = True, trouble
        if counts:
            self.breaker.failed(call)
        else:
            self.breaker.succeeded()


def of_target(target: Target, flight: Flight | None = None) -> Upstream:
    """The upstream behind a configured target."""
    return Upstream(
        target.name, target.base_url, target.timeout, target, target.price, target.headers, target.query, flight,
        target.max_in_flight,
    )  # fmt: skip


def without_credentials(url: str) -> str:
    """The address as it may be shown."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
