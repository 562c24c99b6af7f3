-- Configures wrk's requests with the BENCH_ variables and prints wrk's result as one line of JSON.
-- If BENCH_RATE is above 0, all connections together send at most BENCH_RATE requests per second, at random moments.

local rate = tonumber(os.getenv("BENCH_RATE") or "0")
local connections = tonumber(os.getenv("BENCH_CONNECTIONS"))
local body = io.open(os.getenv("BENCH_BODY")):read("*a")
local headers = {["Content-Type"] = "application/json"}
for name, value in os.getenv("BENCH_HEADERS"):gmatch("([^:\n]+): ([^\n]+)") do headers[name] = value end

wrk.method, wrk.body, wrk.headers = "POST", body, headers

if rate > 0 then
    function delay()
        return math.floor(-math.log(1 - math.random()) * connections / rate * 1000 + 0.5)
    end
end

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format('\n{"requests": %d, "seconds": %.6f, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
        summary.requests, summary.duration / 1e6, failed, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
