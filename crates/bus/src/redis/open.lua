-- Makes the head of a room that has none, and renews the one that it has.
--
-- ARGV: the base of a new epoch, the head's life (ms).
-- Returns seq, base, lineage.
local life = tonumber(ARGV[2])
local now = milliseconds()
local known = redis.call('HMGET', head, 'v', 'x')
check_version(known[1])
if not known[1] then
  begin(ARGV[1], life, now)
elseif now - tonumber(known[2]) >= life / 2 then
  redis.call('HSET', head, 'x', digits(now))
  renew(head, life)
end
local opened = redis.call('HMGET', head, 's', 'b', 'l')
return { tonumber(opened[1]), opened[2], opened[3] }
