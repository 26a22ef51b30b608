-- Says how many sessions of a user a node has, unless with those of the other nodes that would be too many.
--
-- KEYS[1]: a hash, of each node how many.
-- ARGV: the node, how many it has, how many there may be in all or 0, the life of the key (ms), the nodes that are gone.
-- Returns 1, or 0 when nothing was changed for there are too many, and the other nodes that have any: whoever does not
-- know one is to find out whether it lives.
local key, node, own, most = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local gone, others, reply = {}, 0, { 1 }
for i = 5, #ARGV do
  gone[ARGV[i]] = true
end
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  if gone[all[i]] then
    redis.call('HDEL', key, all[i])
  elseif all[i] ~= node then
    others = others + tonumber(all[i + 1])
    reply[#reply + 1] = all[i]
  end
end
if most > 0 and own + others > most then
  reply[1] = 0
  return reply
end
if own == 0 then
  redis.call('HDEL', key, node)
else
  redis.call('HSET', key, node, own)
  redis.call('PEXPIRE', key, ARGV[4])
end
return reply
