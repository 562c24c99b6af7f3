"""Fake servers behind the router API, on this machine's loopback address.

| module | content |
| --- | --- |
| `server` | a scripted OpenAI-compatible server |
| `exchange` | one request to it, and the connection on which a script answers |
| `bodies` | the JSON of well-behaved models |
| `answers`, `faults` | scripts that answer well, and scripts that fail |
| `holding` | a target that holds requests back |
| `raw`, `tls` | servers that send any bytes; a TLS server and its proxy |
| `recorded` | transports without a socket |
| `otlp` | an OpenTelemetry collector |
| `ports` | free ports and closed addresses |
"""
