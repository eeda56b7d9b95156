-- May the account make one more call now? Decided whole, by the server's clock, so that any number of processes agree.
--
-- KEYS[1]  the account's hash: epoch, closed_until, day, calls, and per family of calls its recent grants (msgpack,
--          ascending). Times are microseconds since 1970.
-- ARGV[1]  JSON: family, windows [[calls, width], …] that must have room, keep (the family's longest window),
--          per_day (0: none), want (false: only note what follows), and what the caller remembers:
--          epoch (0: none yet), closed (nobody calls for so long), longest_closure,
--          day and calls (order calls of the account that day, at least), uncounted (order calls since, made without us),
--          ages (of grants of this family that we may not know).
-- Answers  {1 granted | 0 wait | 2 lost, wait, epoch, age of the epoch, closed, day, calls, now}
local WAIT, GRANTED, LOST = 0, 1, 2
local SECOND = 1000000
local DAY, IST = 86400 * SECOND, 19800 * SECOND

local ask = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * SECOND + clock[2]
local known = redis.call('HMGET', KEYS[1], 'epoch', 'closed_until', 'day', 'calls', ask.family)

local function digits(number)
    return string.format('%.0f', number)
end

-- The epoch is when this hash began. A caller that remembers another one knows that Redis lost the grants of before,
-- and must say what it remembers of them before it is given any.
local epoch = tonumber(known[1]) or now
local age = math.max(now - epoch, 0)
local lost = ask.epoch ~= 0 and ask.epoch ~= epoch

-- Times later than now mean that the clock was set back: a closure then ends within its longest, a grant was made by now.
local closed_until = math.max(math.min(tonumber(known[2]) or 0, now + ask.longest_closure), now + ask.closed)

local day = math.floor((now + IST) / DAY)
local calls = tonumber(known[3]) == day and tonumber(known[4]) or 0
if not lost and ask.day == day then
    calls = math.max(calls, ask.calls) + ask.uncounted
end

local grants = {}
for _, at in ipairs(known[5] and cmsgpack.unpack(known[5]) or {}) do
    if now - at < ask.keep then
        grants[#grants + 1] = math.min(at, now)
    end
end
if not lost and #ask.ages > 0 then
    for _, since in ipairs(ask.ages) do
        grants[#grants + 1] = now - since
    end
    table.sort(grants)
end

local wait = math.max(closed_until - now, 0)
for _, window in ipairs(ask.windows) do
    local oldest = grants[#grants - window[1] + 1]
    if oldest then
        wait = math.max(wait, oldest + window[2] - now)
    end
end
if ask.per_day > 0 and calls >= ask.per_day then
    wait = math.max(wait, (day + 1) * DAY - IST - now)
end

local outcome = WAIT
if lost then
    outcome = LOST
elseif ask.want and wait <= 0 then
    outcome = GRANTED
    grants[#grants + 1] = now
    if ask.per_day > 0 then
        calls = calls + 1
    end
end

redis.call('HSET', KEYS[1], 'epoch', digits(epoch), 'closed_until', digits(closed_until), 'day', digits(day),
    'calls', digits(calls), ask.family, cmsgpack.pack(grants))
redis.call('EXPIRE', KEYS[1], 2 * 86400) -- longer than the day it counts
return {outcome, wait, epoch, age, closed_until - now, day, calls, now}
