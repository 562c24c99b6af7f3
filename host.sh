#!/usr/bin/env bash
# Hosts the router model on port 8000. Runs `rl-router model` of this clone, which starts without a virtual environment.
set -euo pipefail

main() {
    local root python
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    python=$("$root/scripts/find-python")
    export RL_ROUTER_CLONE=$root
    export PYTHONPATH=$root/process:$root/cli:$root/router_model${PYTHONPATH:+:$PYTHONPATH}
    exec "$python" -m rl_router_cli model "$@"
}

main "$@"
