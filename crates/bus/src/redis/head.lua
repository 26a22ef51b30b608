-- What everything that touches a room's head shares; it is put in front of each script and of the library.
--
-- The keys of a room: the head, the log, the ids. The head's fields:
--   v  version of these fields            s  the newest event's seq
--   b  base of the epoch                  g  generation of the epoch
--   l  "<generation>:<first seq> ...", the last 32
--   r  replication id of the server that the generation belongs to
--   i, t  the first seq of the young generation of ids, and when it began (ms)
--   e, x  when the expiry of the log, and of the head, was set (ms)
--   a  the log's life (ms) when its expiry was set
--   d  there when an event was ever deleted, so that there are marks to look at: see amend.lua
local head, log, ids

-- Whatever is called begins with this.
local function in_room(keys)
  head, log, ids = keys[1], keys[2], keys[3]
end

-- Few rooms have any, and what names a missing key is put off for as long as its slot migrates. So it is a key that only
-- amend.lua names. The others read it, and renew it, in passing.
local function marks_key()
  return (string.gsub(log, ':log$', ':marks'))
end

-- Lua's own way to print a number loses digits above 1e14.
local function digits(number)
  return string.format('%.0f', number)
end

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- INFO is a fifth of what an append costs, so within a millisecond it is asked once. Only the library keeps the answer from
-- one call to the next, and a server loads that anew when it starts and when it takes over all data of another, which is
-- how data are lost; a replica never calls it. What is left is a primary that is made a replica, catches up with its
-- successor without taking over all, and is a primary again: 7 ms where nothing lies between the commands.
local server, asked_at

-- The id of the server that this runs on. It changes at every start and at every promotion.
local function server_id(now)
  if asked_at ~= now then
    local info = redis.call('INFO', 'replication')
    local _, last = string.find(info, 'master_replid:', 1, true)
    server, asked_at = string.sub(info, last + 1, last + 40), now
  end
  return server
end

local function generation_name(number, id)
  return digits(number) .. '-' .. string.sub(id, 1, 8)
end

-- A key that is renewed when half of its life has passed must be given one and a half, to live one at least.
local function renew(key, life)
  redis.call('PEXPIRE', key, digits(math.floor(life * 1.5)))
end

-- In a slot that is on its way it may fail, and is tried again at the next occasion.
local function renew_marks(life)
  redis.pcall('PEXPIRE', marks_key(), digits(math.floor(life * 1.5)))
end

local function check_version(version)
  if version and version ~= '1' then
    error('the head of this room was written by another version')
  end
end

-- A new log: whatever is left of an older one must not be taken for its past.
local function begin(base, life, now)
  local here = server_id(now)
  local generation = generation_name(0, here)
  redis.call('DEL', log, ids)
  redis.call('HSET', head, 'v', '1', 's', '0', 'b', base, 'g', generation, 'l', generation .. ':1',
    'r', here, 'i', '1', 't', digits(now), 'e', '0', 'x', digits(now))
  renew(head, life)
end
