#!/usr/bin/env bash
# Serves the router API on port 8800. Runs `rl-router serve` of this clone in the virtual environment `.venv`.
set -euo pipefail

usage() {
    cat <<'HELP'
usage: bash serve.sh [options]

Serves the router API: one OpenAI-compatible endpoint in front of many models. Start the router model first with
bash host.sh. serve.sh waits for the router model for at most --wait seconds. Then serve.sh serves without the router
model. Requests use the policy learned if no router model is configured, and otherwise the fallback order.

  --router-model NAME  name of the router model (default: the first model that the router model's server lists)
  --max-turns N        maximum number of decisions of a request (default: 3)
  --hosted-port PORT   port of the router model on this machine (default: 8000)
  --serve-port PORT    port to serve the API on (default: 8800)
  --host ADDRESS       address to listen on (default: 127.0.0.1). 0.0.0.0 means all IPv4 addresses, and :: means all IPv4
                       and IPv6 addresses
  --config FILE        file with the targets, prices and limits (default: $RL_ROUTER_CONFIG; without a file, every model
                       that the router model's server lists is a target)
  --workers N          number of processes (default: 1)
  --log-level LEVEL    debug, info, warning or error (default: info)
  --wait SECONDS       maximum time to wait for the router model (default: 300; 0: do not wait)
  --help               this text

Every field of the configuration is also a flag and an environment variable: --routing.prefer cost, or
RL_ROUTER_ROUTING__PREFER=cost. docs/configuration.md and .venv/bin/rl-router serve --help explain every field. The help
of rl-router serve also lists the exit codes. router_api/rl_router_api/catalogue.yaml is an example with well-known
models.

examples:
  bash serve.sh --config router_api/rl_router_api/catalogue.yaml
  curl http://localhost:8800/health
  python test_serve.py
HELP
}

main() {
    local root argument python
    for argument in "$@"; do
        case $argument in
            -h | --help)
                usage
                return
                ;;
        esac
    done
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    python=$("$root/scripts/find-python")
    "$python" "$root/scripts/environment.py" run
    # The arguments follow the default of --wait, because the last --wait takes effect.
    exec "$root/.venv/bin/rl-router" serve --wait 300 "$@"
}

main "$@"
