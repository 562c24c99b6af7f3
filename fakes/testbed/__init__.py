"""Real routers in front of fake upstreams, and the clients that use them.

| module | content |
| --- | --- |
| `router` | the application in the event loop of a test, with its upstreams |
| `program` | `python -m rl_router_api` with its workers |
| `config_file` | routers that reload a file |
| `http1`, `asgi` | the HTTP/1.1 protocol without the application, and the application without our server |
| `configuration`, `keys`, `volume`, `policy_package` | inputs of a router: sections, keys, mounted folders, policies |
| `requests`, `responses` | chat requests, and parsers of the router's responses |
| `json_values`, `framing` | generated JSON; chunked bodies that never end |
| `log`, `waiting` | log lines in memory; polling |
"""
