-- Makes the head of a room that has none, and renews the one that it has.
--
-- ARGV: the base of a new epoch, the lives of a head and of one that no event was ever numbered by (ms).
-- Returns seq, base, lineage.
in_room(KEYS)
local now = milliseconds()
local known = redis.call('HMGET', head, 'v', 'x', 's')
check_version(known[1])
-- Whoever may join may make heads, as many as names come to mind.
local life = tonumber((known[3] or '0') == '0' and ARGV[3] or ARGV[2])
if not known[1] then
  begin(ARGV[1], life, now)
elseif now - tonumber(known[2]) >= life / 2 then
  redis.call('HSET', head, 'x', digits(now))
  renew(head, life)
  renew_marks(life)
end
local opened = redis.call('HMGET', head, 's', 'b', 'l')
return { tonumber(opened[1]), opened[2], opened[3] }
