"""Real routers in front of fake upstreams, and the clients that use the routers.

The module `router` runs the router API and upstreams in the event loop of a test. The module `program` runs the router
API as a separate program, with or without worker processes. The module `config_file` runs routers that reload a
configuration file. The module `http1` runs the HTTP/1.1 protocol without the router API's application. The module
`asgi` runs the router API's application without RL Router's own HTTP server. The modules `configuration`, `keys`,
`volume` and `policy_package` create the inputs of a router: sections of the configuration, API keys, mounted folders
and policies. The module `requests` creates chat requests. The module `responses` parses the router's responses. The
module `json_values` generates JSON values. The module `framing` contains chunked bodies that never end. The module
`wire` sends bytes to routers with two different HTTP/1.1 implementations. The module `streams` provides closed, broken
and full standard streams. The module `log` keeps log lines in memory. The module `waiting` polls for conditions.
"""
