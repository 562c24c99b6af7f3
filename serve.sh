#!/usr/bin/env bash
# Serves the router API on port 8800, with the router model on port 8000 deciding.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'HELP'
usage: bash serve.sh [options]

Serves the router API. Start the router model first (`bash host.sh`); serve.sh waits for it, and starts without it after
--wait, since requests can then still go to a fallback.

  --router-model NAME  the model that decides, as port 8000 names it (default: the first it lists)
  --max-turns N        decisions a request may take (default: 3)
  --hosted-port PORT   where the router model is hosted on this machine (default: 8000)
  --serve-port PORT    where to serve the API (default: 8800)
  --host ADDRESS       where to listen (default: 127.0.0.1; 0.0.0.0 for every address)
  --config FILE        configuration: targets, prices, limits (default: $RL_ROUTER_CONFIG; without, every model that
                       port 8000 lists is a target)
  --workers N          processes (default: 1)
  --log-level LEVEL    debug, info, warning or error (default: info)
  --wait SECONDS       how long to wait for the router model (default: 300; 0: not at all)
  --help               this text

Every field of the configuration is a flag too, and an environment variable: --routing.prefer cost, or
RL_ROUTER_ROUTING__PREFER=cost. docs/configuration.md explains each; router_api/rl_router_api/catalogue.yaml is an example
with well-known models.

Once it runs:  python test_serve.py   or   curl http://localhost:8800/health
HELP
}

main() {
    local argument python
    for argument in "$@"; do
        case $argument in
            -h | --help)
                usage
                return
                ;;
        esac
    done
    python=$("$root/scripts/find-python")
    "$python" "$root/scripts/environment.py" run
    # The last of two --wait counts, so one that was given does.
    exec "$root/.venv/bin/python" -m rl_router_api --wait 300 "$@"
}

main "$@"
