-- Moves read markers, and tells the room which have moved: in one step, or some node could miss it for good.
--
-- KEYS: the head, the markers: a hash, of each user "<epoch> <seq>".
-- ARGV: PUBLISH or SPUBLISH, or nothing where nobody is told; the channel, the room, the lives of the key and of one
-- in a room of which there are no events (ms), and then for each marker its user, epoch and seq.
-- Returns for each marker 1 when it moved, 0 when it was there or beyond already, -1 when the place is not in this log.
local MOST = 10000
local known = redis.call('HMGET', KEYS[1], 'v', 's', 'b')
local newest, base = tonumber(known[2] or '0'), (known[3] or '') .. '.'
local function in_log(epoch)
  return string.sub(epoch, 1, #base) == base
end

local reply, moved = {}, {}
for i = 6, #ARGV, 3 do
  local user, epoch, seq = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local marked = 0
  if not known[1] or not in_log(epoch) or seq > newest then
    marked = -1
  else
    local old_epoch, old_seq = string.match(redis.call('HGET', KEYS[2], user) or '', '^(%S+) (%d+)$')
    local behind = old_epoch and in_log(old_epoch) and tonumber(old_seq) >= seq
    -- Whoever has one may move it; in a room of more people nobody is shown them anyway.
    if not behind and (old_epoch or redis.call('HLEN', KEYS[2]) < MOST) then
      redis.call('HSET', KEYS[2], user, epoch .. ' ' .. ARGV[i + 2])
      marked = 1
      moved[#moved + 1] = '{"user":' .. cjson.encode(user) .. ',"epoch":' .. cjson.encode(epoch) .. ',"seq":'
        .. ARGV[i + 2] .. '}'
    end
  end
  reply[#reply + 1] = marked
end
redis.call('PEXPIRE', KEYS[2], newest > 0 and ARGV[4] or ARGV[5])
if ARGV[1] ~= '' and #moved > 0 then
  local frame = '{"type":"read","room":"' .. ARGV[3] .. '","markers":[' .. table.concat(moved, ',') .. ']}'
  redis.call(ARGV[1], ARGV[2], '\1t' .. frame)
end
return reply
