-- Takes one from a bucket that all nodes share (GCRA: all that is kept is when it will be full again).
--
-- KEYS[1]: when the bucket is full (ms, with fractions).
-- ARGV: how many a second, how many at once.
-- Returns 0, or how long to wait (ms).
local interval = 1000 / tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = full + interval - now - interval * tonumber(ARGV[2])
if wait > 0.001 then
  return math.ceil(wait)
end
redis.call('SET', KEYS[1], string.format('%.3f', full + interval), 'PX', math.ceil(full + interval - now) + 1)
return 0
