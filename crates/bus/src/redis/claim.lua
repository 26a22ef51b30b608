-- Says how many sessions of a user a node has, unless with those of the other nodes that would be too many.
--
-- KEYS[1]: a hash, of each node how many.
-- ARGV: the node, how many it has, how many there may be in all or 0, the life of the key (ms), the nodes that live.
-- Returns 1, or 0 when nothing was changed for there are too many, and how many the others have.
local key, node, own, most = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local alive = { [node] = true }
for i = 5, #ARGV do
  alive[ARGV[i]] = true
end
local others = 0
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  if not alive[all[i]] then
    redis.call('HDEL', key, all[i])
  elseif all[i] ~= node then
    others = others + tonumber(all[i + 1])
  end
end
if most > 0 and own + others > most then
  return { 0, others }
end
if own == 0 then
  redis.call('HDEL', key, node)
else
  redis.call('HSET', key, node, own)
  redis.call('PEXPIRE', key, ARGV[4])
end
return { 1, others }
