-- Reads a part of a room's log and its head at one instant. A number that is missing inside the log is of an event that
-- was deleted, and what is left of that stands in the marks.
--
-- KEYS: also the marks, when the answer without them was -2.
-- ARGV: "after" or "before", a seq, how many.
-- Returns seq, base, lineage, the oldest seq that is left, and then for each event, in the order of the reading:
-- id, generation, entry. Returns -1 alone when the room has no head, and -2 when its marks are not here though it should
-- have some: they may be on their way to another server, and without them what was deleted looks like what was trimmed.
in_room(KEYS)
local direction, seq, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HMGET', head, 'v', 's', 'b', 'l', 'd')
check_version(known[1])
if not known[1] then
  return { -1 }
end

local newest, base = tonumber(known[2]), known[3]
local marks = marks_key()
local marked = false
if known[5] then
  -- An error where they have gone already.
  marked = redis.pcall('HGET', marks, 'b') == base
  if not marked and not KEYS[4] then
    return { -2 }
  end
end
local function left_of(number)
  local left = marked and redis.call('HGET', marks, 'd' .. digits(number))
  if left then
    local generation, entry = string.match(left, '^%d+ ([^\n]*)\n(.*)$')
    return { digits(number) .. '-0', { generation, entry } }
  end
end

local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
local first = oldest and tonumber(string.match(oldest[1], '^%d+')) or newest + 1
while marked and first > 1 and left_of(first - 1) do
  first = first - 1
end
local reply = { newest, base, known[4], first }
if limit == 0 then
  return reply
end

local events, step
if direction == 'after' then
  events = redis.call('XRANGE', log, digits(seq + 1) .. '-0', '+', 'COUNT', limit)
  step = 1
  seq = math.max(seq, first - 1)
elseif seq > 0 then
  events = redis.call('XREVRANGE', log, digits(seq - 1) .. '-0', '-', 'COUNT', limit)
  step = -1
  seq = math.min(seq, newest + 1)
else
  events = {}
end

local count = 0
local function add(event)
  count = count + 1
  reply[#reply + 1] = event[1]
  reply[#reply + 1] = event[2][1]
  reply[#reply + 1] = event[2][2]
end
-- What was deleted between the last event and `number`, which is not included.
local function fill(number)
  while marked and count < limit and seq + step ~= number do
    local left = left_of(seq + step)
    if not left then
      return
    end
    add(left)
    seq = seq + step
  end
end
for _, event in ipairs(events) do
  local number = tonumber(string.match(event[1], '^%d+'))
  fill(number)
  if count >= limit then
    return reply
  end
  add(event)
  seq = number
end
if step then
  fill(step == 1 and newest + 1 or 0)
end
return reply
