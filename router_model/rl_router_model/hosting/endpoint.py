"""Finds out whether the server of the hosted router model is healthy, and which models the server lists."""

import json
import shlex
import socket
import ssl
import urllib.request
from dataclasses import dataclass

from rl_router_model.address import authority

from .options import Options

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_CERTIFICATE = "--ssl-certfile"
_DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Endpoint:
    """The address at which this machine reaches the hosted server.

    The attribute `api_key` is empty if the server requires no API key.
    """

    scheme: str
    host: str
    port: int
    api_key: str = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{authority(self.host, self.port)}"

    @property
    def serving_flags(self) -> str:
        """A space and the flag of `rl-router serve` that names the port or the URL of the router model.

        The text is empty for the default URL.
        """
        if self.url == _DEFAULT_URL:
            return ""
        if self.url == f"http://127.0.0.1:{self.port}":
            return f" --hosted-port {self.port}"
        # The URL is quoted, because a shell may expand the brackets of an IPv6 address.
        return " --router.base-url " + shlex.quote(f"{self.url}/v1")

    def accepts_connections(self) -> bool:
        """Returns whether any program listens on the host and port of the endpoint."""
        try:
            with socket.create_connection((self.host, self.port), timeout=5):
                return True
        except OSError:
            return False

    def is_healthy(self) -> bool:
        """Returns whether the server answers a request for the path /health with a success status."""
        return self._get("/health") is not None

    def models(self) -> tuple[str, ...]:
        """Returns the names of the models that the server lists, or an empty tuple if it returns no valid list."""
        try:
            return tuple(str(model["id"]) for model in json.loads(self._get("/v1/models") or b"{}")["data"])
        except (ValueError, KeyError, TypeError):
            return ()

    def _get(self, path: str) -> bytes | None:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310
        context = ssl.create_default_context()
        # The certificate is not checked, because the certificate may be for a host name that clients use instead of
        # this address.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=5) as response:
                body: bytes = response.read()
                return body
        except (OSError, ValueError):
            return None


def endpoint_of(options: Options, inherited_key: str = "") -> Endpoint:
    """Returns the endpoint of a server that runs with the options `options`.

    The argument `inherited_key` is the API key that the server inherits in the environment variable VLLM_API_KEY.
    """
    is_https = any(option == _CERTIFICATE or option.startswith(f"{_CERTIFICATE}=") for option in options.extra)
    host = _ANY_ADDRESS.get(options.host, options.host)
    return Endpoint("https" if is_https else "http", host, options.port, options.api_key or inherited_key)
