"""What the router does in the long run: memory over 100,000 requests, and what a request waits at half the load."""

from __future__ import annotations

from cases import PINNED, TWO_HOPS
from load import measure, run
from results import put
from run import check_tools, everything
from stacks import Stack, rl_router

_REQUESTS, _CONNECTIONS, _SECONDS = 100_000, 64, 10.0


def main() -> None:
    check_tools()
    with everything((rl_router,)) as (router,):
        put("Latency", _latency(router))
        put("Memory", _memory(router))


def _latency(router: Stack) -> str:
    """Milliseconds that the router adds to the upstream's own, at half of the most requests a second."""
    most = measure(router.process, router.load(PINNED, _CONNECTIONS), _SECONDS).per_second
    through = run(router.load(PINNED, _CONNECTIONS, most / 2), _SECONDS)
    direct = run(router.direct(PINNED, _CONNECTIONS, most / 2), _SECONDS)
    p50, p99 = (through[name] - direct[name] for name in ("p50_ms", "p99_ms"))
    return (
        f"A pinned request at {most / 2:,.0f} a second, half of the most that one core takes, at random moments: "
        f"the router adds {p50:.2f} ms (p50; aimed at: 1) and {p99:.2f} ms (p99; aimed at: 5) to what the upstream "
        f"takes under the same load ({direct['p50_ms']:.2f} and {direct['p99_ms']:.2f} ms)."
    )


def _memory(router: Stack) -> str:
    """Resident memory after so many routed requests."""
    seen = [(0, router.process.memory_mb())]
    while seen[-1][0] < _REQUESTS:
        made = measure(router.process, router.load(TWO_HOPS, _CONNECTIONS), _SECONDS).requests
        seen.append((seen[-1][0] + made, router.process.memory_mb()))
        print(f"{seen[-1][0]:,} requests, {seen[-1][1]:.1f} MB", flush=True)
    half = min(seen, key=lambda each: abs(each[0] - _REQUESTS / 2))
    end = seen[-1]
    rows = "\n".join(f"| {requests:,} | {megabytes:.1f} |" for requests, megabytes in (seen[0], half, end))
    return f"Routed, two hops, {_CONNECTIONS} connections (aimed at: 120 MB, and flat over the second half).\n\n" + (
        f"| requests | resident, MB |\n| --- | --- |\n{rows}"
    )


if __name__ == "__main__":
    main()
