"""Fakes of the servers to which the router API connects, on this machine's loopback addresses.

The module `server` contains a scripted OpenAI-compatible server. The module `exchange` defines one request to the
scripted server, and the connection on which a script answers. The module `bodies` builds the JSON that well-behaved
models send. The module `answers` contains scripts that send valid answers. The module `faults` contains scripts that
cause faults. The module `holding` contains a target that holds requests back. The module `raw` contains servers that
send any bytes. The module `tls` contains a TLS server and a proxy to the TLS server. The module `recorded` contains
transports without a socket. The module `otlp` contains an OpenTelemetry collector. The module `ipv6` detects whether
this machine has an IPv6 loopback address.
"""
