-- What is known of a room beside its log, at one instant.
--
-- KEYS: who is there, read markers, mutes, how many are there by way of each node.
-- ARGV: above how many members only their number is told, the time (ms), how many nodes are known to live, these, and
-- those that are known to be gone.
-- Returns the version, the number of members, and then lists, each behind its length: members as user and JSON, nodes that
-- nobody knows, nodes on record that are gone, markers as user and place, mutes as user and value.
local most, now = tonumber(ARGV[1]), tonumber(ARGV[2])
-- No more markers than these, those that are furthest: a join's answer has to fit in a frame.
local MARKERS = 300
local known, gone = {}, {}
for i = 4, #ARGV do
  known[ARGV[i]] = true
  gone[ARGV[i]] = i > 3 + tonumber(ARGV[3])
end

local version, count, members, strangers, ghosts, seen = 0, 0, {}, {}, {}, {}
local function see(node)
  if seen[node] then
    return
  end
  seen[node] = true
  if gone[node] then
    ghosts[#ghosts + 1] = node
  elseif not known[node] then
    strangers[#strangers + 1] = node
  end
end
local all = {}
local fields = redis.call('HLEN', KEYS[1])
local nodes = fields - 1 > most and redis.call('HKEYS', KEYS[4]) or {}
if #nodes > 0 then
  -- A crowd, of which nobody is told but how many they are: to read all of a million takes seconds, in which Redis does
  -- nothing else. Whoever is there by way of a node that is gone is counted until that was told.
  version, count = tonumber(redis.call('HGET', KEYS[1], '~v') or 0), fields - 1
  for _, node in ipairs(nodes) do
    see(node)
  end
else
  all = redis.call('HGETALL', KEYS[1])
end
for i = 1, #all, 2 do
  local user, value = all[i], all[i + 1]
  if user == '~v' then
    version = tonumber(value)
  else
    local names, member = string.match(value, '^([^\n]*)\n(.*)$')
    local there = false
    for node in string.gmatch(names, '%S+') do
      there = there or not gone[node]
      see(node)
    end
    if there then
      count = count + 1
    end
    if there and count <= most then
      members[#members + 1] = user
      members[#members + 1] = member
    end
  end
end

local reply = { version, count }
local function add(list)
  reply[#reply + 1] = #list
  for _, item in ipairs(list) do
    reply[#reply + 1] = item
  end
end
add(count <= most and members or {})
add(strangers)
add(ghosts)

local markers = {}
all = count <= most and redis.call('HGETALL', KEYS[2]) or {}
for i = 1, #all, 2 do
  markers[#markers + 1] = { all[i], all[i + 1], tonumber(string.match(all[i + 1], '%d+$')) }
end
if #markers > MARKERS then
  table.sort(markers, function(one, other)
    return one[3] > other[3]
  end)
end
local furthest = {}
for i = 1, math.min(#markers, MARKERS) do
  furthest[2 * i - 1], furthest[2 * i] = markers[i][1], markers[i][2]
end
add(furthest)

local mutes = redis.call('HGETALL', KEYS[3])
local valid = {}
for i = 1, #mutes, 2 do
  -- Those that are over are forgotten at the next occasion.
  if tonumber(string.match(mutes[i + 1], '^%d+')) > now then
    valid[#valid + 1] = mutes[i]
    valid[#valid + 1] = mutes[i + 1]
  end
end
add(valid)
return reply
