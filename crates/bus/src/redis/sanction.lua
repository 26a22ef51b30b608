-- Puts a sanction on a user, or lifts it.
--
-- KEYS[1]: a hash, of each kind "<until when, ms> <value>".
-- ARGV: the kind, until when or 0 to lift it, the value, how long that is from now (ms).
local key, kind, life = KEYS[1], ARGV[1], tonumber(ARGV[4])
if ARGV[2] == '0' then
  return redis.call('HDEL', key, kind)
end
-- The longest of them keeps the key.
local left = redis.call('PTTL', key)
redis.call('HSET', key, kind, ARGV[2] .. ' ' .. ARGV[3])
redis.call('PEXPIRE', key, string.format('%.0f', math.max(life, left)))
return 1
