-- What is known of a room beside its log, at one instant.
--
-- KEYS: who is there, read markers, mutes.
-- ARGV: above how many members only their number is told, the time (ms), and the nodes that are known to live.
-- Returns the version, the number of members, how many of them are told or -1, and then lists, each behind its length:
-- members as user and JSON, nodes that nobody knows, markers as user and place, mutes as user and value.
local most, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local alive = {}
for i = 3, #ARGV do
  alive[ARGV[i]] = true
end

local version, count, members, strangers, seen = 0, 0, {}, {}, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local user, value = all[i], all[i + 1]
  if user == '~v' then
    version = tonumber(value)
  else
    local nodes, member = string.match(value, '^([^\n]*)\n(.*)$')
    count = count + 1
    for node in string.gmatch(nodes, '%S+') do
      if not alive[node] and not seen[node] then
        seen[node] = true
        strangers[#strangers + 1] = node
      end
    end
    if count <= most then
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
add(count <= most and redis.call('HGETALL', KEYS[2]) or {})
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
