-- Who is in a room: takes in what one node says, and tells the room what has changed by it.
--
-- KEYS[1]: a hash, of each user "<node> <node> ...\n<the member's JSON>", and of "~v" the version.
-- KEYS[2]: when a crowd was told its number (ms), and " owed" when it has changed since then.
-- KEYS[3]: a hash, of each node how many are there by way of it: a crowd is too many to look for that.
-- ARGV: PUBLISH or SPUBLISH, the channel, the room, above how many members only their number is told, how long after one
-- the next may be told (ms), the lives of the keys and of one where nobody is left (ms), the node, "whole" when it has
-- nobody but those who joined, how many joined, each as user and JSON, how many left, the users, and the nodes that are
-- gone.
-- Returns nothing if nothing is left to be told, else the version and the number.
local here, by, publish, channel, room = KEYS[1], KEYS[3], ARGV[1], ARGV[2], ARGV[3]
local most, pause = tonumber(ARGV[4]), tonumber(ARGV[5])
local life, unused_life, node, whole = ARGV[6], ARGV[7], ARGV[8], ARGV[9] == 'whole'
-- A frame of more is only a number.
local MOST_BYTES = 256 * 1024
-- Above so many the pause is longer: PresenceUpdate::pause_of.
local CROWD = 10000

local at = 10
local function take()
  at = at + 1
  return ARGV[at - 1]
end
local joins, joining = {}, {}
for _ = 1, tonumber(take()) do
  local user, member = take(), take()
  joins[#joins + 1] = { user, member }
  joining[user] = true
end
local leaves, gone, sweep = {}, {}, whole
for _ = 1, tonumber(take()) do
  leaves[#leaves + 1] = take()
end
while at <= #ARGV do
  gone[take()] = true
  sweep = true
end

local joined, left = {}, {}
local function read(user)
  local value = redis.call('HGET', here, user)
  if value then
    return string.match(value, '^([^\n]*)\n(.*)$')
  end
end
-- How many more are there by way of each node: written once, at the end.
local counts = {}
local function count_by(name, more)
  counts[name] = (counts[name] or 0) + more
end
-- Takes nodes from a user; who has none left is not there any more.
local function keep(user, nodes, member, stays)
  local kept = {}
  for name in string.gmatch(nodes, '%S+') do
    if stays(name) then
      kept[#kept + 1] = name
    else
      count_by(name, -1)
    end
  end
  local text = table.concat(kept, ' ')
  if text == nodes then
    return
  end
  if text == '' then
    redis.call('HDEL', here, user)
    left[#left + 1] = member
  else
    redis.call('HSET', here, user, text .. '\n' .. member)
  end
end

-- Who comes by this node comes first: it was there all the time if it was by way of a node that is gone.
for _, join in ipairs(joins) do
  local user, member = join[1], join[2]
  local nodes = read(user)
  if not nodes then
    redis.call('HSET', here, user, node .. '\n' .. member)
    count_by(node, 1)
    joined[#joined + 1] = member
  elseif not string.find(' ' .. nodes .. ' ', ' ' .. node .. ' ', 1, true) then
    redis.call('HSET', here, user, nodes .. ' ' .. node .. '\n' .. member)
    count_by(node, 1)
  end
end
if sweep then
  local all = redis.call('HGETALL', here)
  for i = 1, #all, 2 do
    local user = all[i]
    if user ~= '~v' then
      local nodes, member = string.match(all[i + 1], '^([^\n]*)\n(.*)$')
      keep(user, nodes, member, function(name)
        return not gone[name] and not (whole and name == node and not joining[user])
      end)
    end
  end
end
for _, user in ipairs(leaves) do
  local nodes, member = read(user)
  if nodes then
    keep(user, nodes, member, function(name)
      return name ~= node
    end)
  end
end

for name, more in pairs(counts) do
  if redis.call('HINCRBY', by, name, more) <= 0 then
    redis.call('HDEL', by, name)
  end
end

local changed = #joined > 0 or #left > 0
local told_at, owed = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+)(.*)$')
owed = owed == ' owed'
if changed then
  redis.call('HINCRBY', here, '~v', 1)
end
local fields = redis.call('HLEN', here)
-- Whoever may join may leave, too, as many rooms as names come to mind: where nobody is left the version stays for a while.
redis.call('PEXPIRE', here, fields > 1 and life or unused_life)
redis.call('PEXPIRE', by, life)
if not changed and (not owed or fields == 0) then
  return
end
local count = fields - 1
local lists = ',"joined":[' .. table.concat(joined, ',') .. '],"left":[' .. table.concat(left, ',') .. ']'
if count > most or #lists > MOST_BYTES then
  lists = ''
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local since = now - (tonumber(told_at) or 0)
  -- Another server's clock may be ahead.
  if since >= 0 and since < pause * math.sqrt(math.max(1, count / CROWD)) then
    redis.call('SET', KEYS[2], (told_at or '0') .. ' owed', 'PX', life)
    return { tonumber(redis.call('HGET', here, '~v')), count }
  end
  redis.call('SET', KEYS[2], string.format('%.0f', now), 'PX', life)
elseif owed then
  redis.call('SET', KEYS[2], told_at, 'PX', life)
end
-- Lists say what has changed since the version before. If nothing has, it is what was owed that they do not say, and
-- whoever has not heard of it must see that some is missing.
local version = redis.call('HINCRBY', here, '~v', changed and 0 or 1)
local frame = '{"type":"presence","room":"' .. room .. '"' .. lists .. ',"count":' .. count .. '}'
redis.call(publish, channel, '\1h' .. version .. ' ' .. frame)
