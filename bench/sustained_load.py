"""Measures the latency that the router adds at half of the router's maximum rate, and the router's memory use."""

from __future__ import annotations

from cases import PINNED, TWO_HOPS
from load import measure, run
from results import write_section
from run import check_tools, running_stacks
from stacks import Stack, rl_router

_REQUESTS, _CONNECTIONS, _SECONDS = 100_000, 64, 10.0


def main() -> None:
    check_tools()
    with running_stacks((rl_router,)) as (router,):
        write_section("Latency", _latency(router))
        write_section("Memory", _memory(router))


def _latency(router: Stack) -> str:
    """Returns a text on the latency that the router adds to the upstream's latency at half of the router's maximum
    rate."""
    maximum = measure(router.process, router.load(PINNED, _CONNECTIONS), _SECONDS).per_second
    through = run(router.load(PINNED, _CONNECTIONS, maximum / 2), _SECONDS)
    direct = run(router.direct(PINNED, _CONNECTIONS, maximum / 2), _SECONDS)
    p50, p99 = (through[name] - direct[name] for name in ("p50_ms", "p99_ms"))
    return (
        f"The load generator sends at most {maximum / 2:,.0f} pinned requests per second on average, at random moments."
        f" This rate is half of the router's maximum rate on one core. Without the router, the upstream's latency under"
        f" the same load is {direct['p50_ms']:.2f} ms (p50) and {direct['p99_ms']:.2f} ms (p99). The router adds"
        f" {p50:.2f} ms to the p50 and {p99:.2f} ms to the p99. The goals are at most 1 ms (p50) and at most 5 ms"
        " (p99)."
    )


def _memory(router: Stack) -> str:
    """Returns a text with the router's resident memory before, during and after at least 100,000 routed requests."""
    samples = [(0, router.process.memory_mb())]
    while samples[-1][0] < _REQUESTS:
        completed = measure(router.process, router.load(TWO_HOPS, _CONNECTIONS), _SECONDS).requests
        samples.append((samples[-1][0] + completed, router.process.memory_mb()))
        print(f"{samples[-1][0]:,} requests, {samples[-1][1]:.1f} MiB", flush=True)
    half = min(samples, key=lambda sample: abs(sample[0] - _REQUESTS / 2))
    rows = "\n".join(f"| {requests:,} | {megabytes:.1f} |" for requests, megabytes in (samples[0], half, samples[-1]))
    return (
        f"The requests are routed, have two hops, and use {_CONNECTIONS} connections. The goal is a resident memory of "
        "at most 120 MiB that stays constant over the second half of the requests.\n\n"
        f"| requests | resident, MiB |\n| --- | --- |\n{rows}"
    )


if __name__ == "__main__":
    main()
