-- Reads a part of a room's log and its head at one instant.
--
-- ARGV: "after" or "before", a seq, how many.
-- Returns seq, base, lineage, the oldest seq that is left, and then for each event, in the order of the reading:
-- id, generation, entry. Returns -1 alone when the room has no head.
local direction, seq, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HMGET', head, 'v', 's', 'b', 'l')
check_version(known[1])
if not known[1] then
  return { -1 }
end

local newest = tonumber(known[2])
local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
local first = oldest and tonumber(string.match(oldest[1], '^%d+')) or newest + 1
local reply = { newest, known[3], known[4], first }
if limit == 0 then
  return reply
end

local events
if direction == 'after' then
  events = redis.call('XRANGE', log, digits(seq + 1) .. '-0', '+', 'COUNT', limit)
elseif seq > 0 then
  events = redis.call('XREVRANGE', log, digits(seq - 1) .. '-0', '-', 'COUNT', limit)
else
  events = {}
end
for _, event in ipairs(events) do
  reply[#reply + 1] = event[1]
  reply[#reply + 1] = event[2][1]
  reply[#reply + 1] = event[2][2]
end
return reply
