-- A node says that it lives, and is told who else does.
--
-- KEYS[1]: a hash, of each node "<when it was heard of last, ms> <what it says of itself>".
-- ARGV: the node, or nothing for whoever only asks; what it says of itself; after how much silence (ms) a node is gone,
-- and after how much it is forgotten; "off" when the node is about to end: then it has been silent for just too long.
-- Returns whether the node had been gone (1) or not (0), the names of nodes that are gone and not forgotten behind their
-- number, and of each node that lives its name, how long it has been silent (ms) and what it says.
local node, status, patience, memory = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local was_gone = 1
local all = redis.call('HGETALL', KEYS[1])
local live, gone = {}, {}
local function heard(value)
  return tonumber(string.match(value, '^%d+') or '0')
end
for i = 1, #all, 2 do
  local name, value = all[i], all[i + 1]
  local silent = now - heard(value)
  if name == node then
    was_gone = silent > patience and 1 or 0
  elseif silent > memory then
    redis.call('HDEL', KEYS[1], name)
  elseif silent > patience then
    gone[#gone + 1] = name
  else
    live[#live + 1] = name
    live[#live + 1] = silent
    live[#live + 1] = string.match(value, '^%d+ (.*)$') or ''
  end
end
if node ~= '' then
  local heard_of = ARGV[5] == 'off' and now - patience - 1 or now
  redis.call('HSET', KEYS[1], node, string.format('%.0f', heard_of) .. ' ' .. status)
  live[#live + 1] = node
  live[#live + 1] = 0
  live[#live + 1] = status
end
local reply = { was_gone, #gone }
for _, list in ipairs({ gone, live }) do
  for _, item in ipairs(list) do
    reply[#reply + 1] = item
  end
end
return reply
