#!/usr/bin/env bash
# Hosts the router model on port 8000: vLLM on NVIDIA GPUs, llama.cpp on a machine without.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

gpus='' memory_utilization=0.9 max_model_len='' parallel='' parser=hermes template='' model=''
host=127.0.0.1 port=8000 api_key='' device=auto engine=auto wait_seconds=1800 print_only=false
names=() extra=()

server='' log='' python=''

usage() {
    cat <<'HELP'
usage: bash host.sh [options] [-- further flags of the engine]

Hosts the router model, waits until it answers and says so. With NVIDIA GPUs it is served by vLLM, without by llama.cpp
on the CPU (SmolLM2-135M-Instruct, which is installed along: no download).

  --gpus 0,1                    the GPUs to use (CUDA_VISIBLE_DEVICES; default: all)
  --gpu-memory-utilization F    the part of their memory to use (default: 0.9)
  --tensor-parallel-size N      GPUs that share the model (default: as many as are used)
  --max-model-len N             tokens of context (default: the model's; 4096 on a CPU)
  --tool-call-parser NAME       (default: hermes); automatic tool choice is on
  --chat-template FILE          (default: the model's own; Hermes for the bundled model)
  --model NAME                  a hub name, a folder or a GGUF file (default: Qwen/Qwen2.5-7B-Instruct on GPUs)
  --served-model-name NAME ...  the names it answers to (default: the model's)
  --host ADDRESS                where to listen (default: 127.0.0.1)
  --port PORT                   (default: 8000)
  --api-key KEY                 wanted of every client (default: none)
  --device auto|cuda|cpu        (default: cuda where there are NVIDIA GPUs)
  --engine auto|vllm|llamacpp   (default: vllm on GPUs, llamacpp on a CPU); vllm on a CPU wants vLLM's CPU build
  --wait SECONDS                how long the model may load (default: 1800)
  --print                       show the command instead of running it
  --help                        this text

Once it answers:  bash serve.sh   in another terminal, or   python test_host.py
HELP
}

main() {
    parse "$@"
    choose_engine
    local command=()
    build_command
    if $print_only; then
        printf '%q ' "${command[@]}" | sed 's/ $//'
        echo
        return
    fi
    check_model
    check_port
    check_engine
    run "${command[@]}"
}

fail() {
    echo "error: $1" >&2
    exit "${2:-1}"
}

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage && exit 0 ;;
            --print) print_only=true && shift && continue ;;
            --) shift && extra=("$@") && return ;;
            --served-model-name)
                shift
                while [ $# -gt 0 ] && [[ $1 != -* ]]; do names+=("$1") && shift; done
                [ ${#names[@]} -gt 0 ] || fail '--served-model-name wants at least one name' 2
                continue
                ;;
        esac
        case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
        [ $# -gt 1 ] || [[ $1 != --* ]] || known "$1" && take "$@"
        shift 2
    done
    check_values
}

# Whether a flag that came last, without its value, is one at all.
known() {
    usage | grep -q -- "^  $1 " || return 0
    fail "$1 wants a value (--help explains it)" 2
}

take() {
    case $1 in
        --gpus) gpus=$2 ;;
        --gpu-memory-utilization) memory_utilization=$2 ;;
        --tensor-parallel-size) parallel=$2 ;;
        --max-model-len) max_model_len=$2 ;;
        --tool-call-parser) parser=$2 ;;
        --chat-template) template=$2 ;;
        --model) model=$2 ;;
        --host) host=$2 ;;
        --port) port=$2 ;;
        --api-key) api_key=$2 ;;
        --device) device=$2 ;;
        --engine) engine=$2 ;;
        --wait) wait_seconds=$2 ;;
        *) fail "unknown flag $1 (--help lists them; flags of the engine go behind --)" 2 ;;
    esac
}

check_values() {
    [[ $device =~ ^(auto|cuda|cpu)$ ]] || fail "--device is auto, cuda or cpu, not $device" 2
    [[ $engine =~ ^(auto|vllm|llamacpp)$ ]] || fail "--engine is auto, vllm or llamacpp, not $engine" 2
    [[ $port =~ ^[0-9]+$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] || fail "--port $port is no port, 1 to 65535" 2
    [[ $wait_seconds =~ ^[0-9]+$ ]] || fail "--wait $wait_seconds is no number of seconds" 2
    [[ $max_model_len =~ ^([1-9][0-9]*)?$ ]] || fail "--max-model-len $max_model_len is no positive whole number" 2
    [[ $parallel =~ ^([1-9][0-9]*)?$ ]] || fail "--tensor-parallel-size $parallel is no positive whole number" 2
    [[ $gpus =~ ^([0-9]+(,[0-9]+)*)?$ ]] || fail "--gpus $gpus: name them by number, such as 0,1" 2
    [[ $memory_utilization =~ ^(0?\.[0-9]*[1-9][0-9]*|1(\.0*)?)$ ]] ||
        fail "--gpu-memory-utilization $memory_utilization is not between 0 and 1" 2
}

# Numbers of the GPUs of this machine, one a line.
installed_gpus() {
    command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null || true
}

choose_engine() {
    local installed
    installed=$(installed_gpus)
    if [ "$device" = auto ]; then
        if [ -n "$installed" ] && [ "$engine" != llamacpp ]; then device=cuda; else device=cpu; fi
        [ "$device" = cuda ] || [ -z "$gpus" ] || fail '--gpus: no NVIDIA GPU is found (nvidia-smi lists none)'
    fi
    [ "$device" = cpu ] || [ -n "$installed" ] ||
        fail 'no NVIDIA GPU is found (nvidia-smi lists none): mend the driver, or use --device cpu'
    if [ "$engine" = auto ]; then
        if [ "$device" = cuda ]; then engine=vllm; else engine=llamacpp; fi
    fi
    if [ "$device" = cuda ]; then
        [ "$engine" = vllm ] || fail 'llama.cpp serves on the CPU here: --engine llamacpp goes with --device cpu' 2
        [ -n "$gpus" ] || gpus=$(paste -sd, - <<<"$installed")
        local gpu
        for gpu in ${gpus//,/ }; do
            grep -qx "$gpu" <<<"$installed" || fail "--gpus $gpus: there is no GPU $gpu, only ${installed//$'\n'/, }"
        done
    fi
}

build_command() {
    if [ "$engine" = llamacpp ]; then
        command=("$root/.venv/bin/python" -m rl_router_model)
        [ -z "$model" ] || command+=(--model "$model")
    else
        vllm_command
    fi
    [ ${#names[@]} -eq 0 ] || command+=(--served-model-name "${names[@]}")
    command+=(--host "$host" --port "$port")
    [ -z "$max_model_len" ] || command+=(--max-model-len "$max_model_len")
    [ -z "$template" ] || command+=(--chat-template "$template")
    # Not as a flag, which every user of the machine could read in the list of processes.
    [ -z "$api_key" ] || command=(env "VLLM_API_KEY=$api_key" "${command[@]}")
    [ ${#extra[@]} -eq 0 ] || command+=("${extra[@]}")
}

vllm_command() {
    local program=vllm
    [ ! -x "$root/.venv/bin/vllm" ] || program=$root/.venv/bin/vllm
    if [ "$device" = cuda ]; then
        : "${model:=Qwen/Qwen2.5-7B-Instruct}" "${parallel:=$(tr ',' '\n' <<<"$gpus" | wc -l | tr -d ' ')}"
        command=(env "CUDA_VISIBLE_DEVICES=$gpus" "$program" serve "$model"
            --gpu-memory-utilization "$memory_utilization" --tensor-parallel-size "$parallel")
    else
        : "${model:=HuggingFaceTB/SmolLM2-135M-Instruct}" "${max_model_len:=4096}"
        command=(env "VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1}" "OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}"
            "$program" serve "$model" --dtype bfloat16 --enforce-eager)
    fi
    command+=(--enable-auto-tool-choice --tool-call-parser "$parser")
}

check_model() {
    case $model in
        /* | ./* | ../* | *.gguf) [ -e "$model" ] || fail "there is no model at $model: correct --model" ;;
    esac
    [ -z "$template" ] || [ -r "$template" ] || fail "the chat template $template cannot be read: correct --chat-template"
}

# The address at which this script itself asks.
local_host() {
    case $host in 0.0.0.0) echo 127.0.0.1 ;; ::) echo ::1 ;; *) echo "$host" ;; esac
}

# The same with the port, as a URL has it.
url() {
    local scheme=http address argument
    for argument in ${extra[@]+"${extra[@]}"}; do
        case $argument in --ssl-certfile | --ssl-certfile=*) scheme=https ;; esac
    done
    address=$(local_host)
    case $address in *:*) address="[$address]" ;; esac
    echo "$scheme://$address:$port"
}

check_port() {
    if (exec 3<>"/dev/tcp/$(local_host)/$port") 2>/dev/null; then
        fail "port $port is in use: stop what listens there, or choose another with --port"
    fi
}

check_engine() {
    python=$("$root/scripts/find-python")
    if [ "$engine" = llamacpp ]; then
        "$python" "$root/scripts/environment.py" run
        return
    fi
    command -v vllm >/dev/null || [ -x "$root/.venv/bin/vllm" ] ||
        fail "vLLM is not installed: pip install vllm, or use --engine llamacpp --device cpu"
    local shared
    shared=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $2}')
    [ -z "$shared" ] || [ "$shared" -ge 1000000 ] ||
        fail "/dev/shm has $((shared / 1024)) MiB and vLLM needs 1 GiB: start the container with --shm-size 1g"
    [ "$device" = cpu ] || check_gpu_memory
}

check_gpu_memory() {
    local index free total wanted
    while IFS=', ' read -r index free total; do
        [[ ",$gpus," == *",$index,"* ]] || continue
        wanted=$(awk -v total="$total" -v part="$memory_utilization" 'BEGIN {printf "%d", total * part}')
        [ "$free" -ge "$wanted" ] || fail "GPU $index has $free of $total MiB free and --gpu-memory-utilization\
 $memory_utilization wants $wanted: lower it to $(awk -v f="$free" -v t="$total" 'BEGIN {printf "%.2f", int(f / t * 100) / 100}'),\
 stop what uses that GPU, or choose others with --gpus"
    done < <(nvidia-smi --query-gpu=index,memory.free,memory.total --format=csv,noheader,nounits)
}

run() {
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    trap 'stop 130' INT
    trap 'stop 143' TERM
    trap 'stop 129' HUP
    echo "Starting the router model (${model:-SmolLM2-135M-Instruct, $engine}) on port $port …"
    # A session of its own: Ctrl-C reaches this script alone, which then stops the server as it should be stopped.
    "$python" -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@" \
        > >(trap '' INT TERM HUP && keep_last_lines) 2>&1 &
    server=$!
    wait_until_ready
    echo "Router model $(served_name) is ready on $(url)/v1 ($SECONDS s). Next: bash serve.sh$(serving_flags)"
    local status=0
    wait "$server" || status=$?
    fail "the router model ended (exit status $status): $(last_line)" "$((status == 0 ? 1 : status))"
}

# Passes everything on, and keeps the last lines in the log: at most five hundred, however long the server runs.
keep_last_lines() {
    exec awk -v log_file="$log" '
        { print; fflush(); if (n++ % 500 == 0) close(log_file); print > log_file; fflush(log_file) }'
}

wait_until_ready() {
    SECONDS=0
    local said=0
    until answers; do
        kill -0 "$server" 2>/dev/null || died
        [ "$SECONDS" -lt "$wait_seconds" ] || { echo "error: not ready after $wait_seconds s: give it more with --wait" >&2 && stop 1; }
        if [ $((SECONDS - said)) -ge 5 ]; then
            said=$SECONDS
            echo "Loading … $SECONDS s"
        fi
        # In the background, so that a signal is heard at once.
        sleep 0.2 &
        wait $! || true
    done
}

answers() {
    # A connection is cheap to try, and before there is one nothing else can come.
    (exec 3<>"/dev/tcp/$(local_host)/$port") 2>/dev/null || return 1
    # In the background, so that a signal is heard at once.
    ask /health >/dev/null &
    wait $! && kill -0 "$server" 2>/dev/null
}

served_name() {
    ask /v1/models | "$python" -c 'import json, sys; print(", ".join(each["id"] for each in json.load(sys.stdin)["data"]))' \
        2>/dev/null || echo "$model"
}

# What the server answers at a path. Its certificate names whom clients ask, which need not be this address.
ask() {
    API_KEY=$api_key "$python" - "$(url)$1" <<'PYTHON' 2>/dev/null
import os, ssl, sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + os.environ["API_KEY"]})
https = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
print(opener.open(request, timeout=5).read().decode())
PYTHON
}

# What serve.sh has to be told to find the router model.
serving_flags() {
    case $(url) in https:*) echo " --router.base-url $(url)/v1" ;; esac
}

last_line() {
    grep -v '^[[:space:]]*$' "$log" | tail -n 1
}

# The server ended before it answered: says why in one line.
died() {
    local status=0
    wait "$server" || status=$?
    [ "$status" -ne 0 ] || status=1
    # What it said last may still be on its way to the log.
    sleep 0.2
    fail "$(explanation)" "$status"
}

explanation() {
    local said
    said() { grep -qiE "$1" "$log"; }
    if said 'CUDA out of memory|Free memory on device|No available memory for the cache blocks|OutOfMemoryError'; then
        echo 'too little GPU memory: lower --gpu-memory-utilization or --max-model-len, or use more GPUs (--gpus, --tensor-parallel-size)'
    elif said '401 Client Error|GatedRepoError|403 Client Error'; then
        echo "the hub refuses $model: accept its licence there and set HF_TOKEN"
    elif said 'RepositoryNotFoundError|is not a valid model identifier|is not a local folder'; then
        echo "there is no model $model at the hub: correct --model"
    elif said 'address already in use'; then
        echo "port $port is in use: stop what listens there, or choose another with --port"
    else
        echo "the router model did not start: $(last_line)"
    fi
}

# Stops what this script started, and only that.
stop() {
    # The terminal may be gone, and with it whoever would read a line: that must not keep the server alive.
    trap '' INT TERM HUP PIPE
    kill -TERM "$server" 2>/dev/null || true
    echo 'Stopping the router model …' 2>/dev/null || true
    local _
    for _ in $(seq 300); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    # Its session is its own, so this reaches its children alone.
    kill -KILL -- "-$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    exit "$1"
}

main "$@"
