-- Puts a sanction on somebody, or lifts it. Those that are over go with the next one.
--
-- KEYS[1]: a hash, of each kind (or, in a room, of each user) "<until when, ms> <value>".
-- ARGV: which, until when or 0 to lift it, the value, the time (ms).
local key, which, now = KEYS[1], ARGV[1], tonumber(ARGV[4])
if ARGV[2] == '0' then
  return redis.call('HDEL', key, which)
end
redis.call('HSET', key, which, ARGV[2] .. ' ' .. ARGV[3])
local all, last = redis.call('HGETALL', key), now
for i = 1, #all, 2 do
  local ends = tonumber(string.match(all[i + 1], '^%d+'))
  if ends <= now then
    redis.call('HDEL', key, all[i])
  end
  last = math.max(last, ends)
end
redis.call('PEXPIRE', key, string.format('%.0f', last - now))
return 1
