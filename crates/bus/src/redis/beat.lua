-- A node says that it lives, and is told who else does.
--
-- KEYS[1]: a hash, of each node "<when it was heard of last, ms> <what it says of itself>".
-- ARGV: the node, or nothing for whoever only asks; what it says of itself; after how much silence (ms) a node is gone,
-- and after how much it is forgotten.
-- Returns whether the node had been gone (1) or not (0), and of each node that lives its name, how long it has been
-- silent (ms) and what it says.
local node, status, patience, memory = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local was_gone = 1
local all = redis.call('HGETALL', KEYS[1])
local reply = { 0 }
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
  elseif silent <= patience then
    reply[#reply + 1] = name
    reply[#reply + 1] = silent
    reply[#reply + 1] = string.match(value, '^%d+ (.*)$') or ''
  end
end
if node ~= '' then
  redis.call('HSET', KEYS[1], node, string.format('%.0f', now) .. ' ' .. status)
  reply[#reply + 1] = node
  reply[#reply + 1] = 0
  reply[#reply + 1] = status
end
reply[1] = was_gone
return reply
