-- wrk -s load.lua http://HOST:PORT/PATH -- METHOD BODY USERS [HEADER VALUE]…
-- With USERS the path holds a %07d: requests for users at random are made before the first is sent.
local MADE = 200000

function init(args)
  wrk.method = args[1]
  if args[2] ~= "" then wrk.body = args[2] end
  for at = 4, #args, 2 do wrk.headers[args[at]] = args[at + 1] end
  local users = tonumber(args[3])
  if users > 0 then
    math.randomseed(users)
    local made, at = {}, 0
    for one = 1, MADE do made[one] = wrk.format(nil, string.format(wrk.path, math.random(0, users - 1))) end
    request = function()
      at = at % MADE + 1
      return made[at]
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f,"errors":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
