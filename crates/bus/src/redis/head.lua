-- What every script that touches a room's head shares; it is put in front of each.
--
-- KEYS: the head, the log, the ids. The head's fields:
--   v  version of these fields            s  the newest event's seq
--   b  base of the epoch                  g  generation of the epoch
--   l  "<generation>:<first seq> ...", the last 32
--   r  replication id of the server that the generation belongs to
--   i, t  the first seq of the young generation of ids, and when it began (ms)
--   e, x  when the expiry of the log, and of the head, was set (ms)
--   a  the log's life (ms) when its expiry was set
--   d  there when an event was ever deleted, so that there are marks to look at: see amend.lua
local head, log, ids = KEYS[1], KEYS[2], KEYS[3]
-- Few rooms have any, and a script that names a missing key is put off for as long as its slot migrates. So it is a key
-- that only amend.lua names. The others read it, and renew it, in passing.
local marks = string.gsub(log, ':log$', ':marks')

-- Lua's own way to print a number loses digits above 1e14.
local function digits(number)
  return string.format('%.0f', number)
end

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- It changes at every start of a server and at every promotion.
local function server_id()
  local info = redis.call('INFO', 'replication')
  local _, last = string.find(info, 'master_replid:', 1, true)
  return string.sub(info, last + 1, last + 40)
end

local function generation_name(number, server)
  return digits(number) .. '-' .. string.sub(server, 1, 8)
end

-- A key that is renewed when half of its life has passed must be given one and a half, to live one at least.
local function renew(key, life)
  redis.call('PEXPIRE', key, digits(math.floor(life * 1.5)))
end

-- In a slot that is on its way it may fail, and is tried again at the next occasion.
local function renew_marks(life)
  redis.pcall('PEXPIRE', marks, digits(math.floor(life * 1.5)))
end

local function check_version(version)
  if version and version ~= '1' then
    error('the head of this room was written by another version')
  end
end

-- A new log: whatever is left of an older one must not be taken for its past.
local function begin(base, life, now)
  local server = server_id()
  local generation = generation_name(0, server)
  redis.call('DEL', log, ids)
  redis.call('HSET', head, 'v', '1', 's', '0', 'b', base, 'g', generation, 'l', generation .. ':1',
    'r', server, 'i', '1', 't', digits(now), 'e', '0', 'x', digits(now))
  renew(head, life)
end
