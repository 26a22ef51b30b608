-- Numbers, stores and publishes a batch of events, in this order so that nothing is half done.
--
-- args: PUBLISH or SPUBLISH, the channel, the base of a new epoch, the log's length, the lives of the log, the head
-- and the ids (ms), the traces, and then for each event its key and its entry. With `amend` there is one event, and
-- behind it what that wants. The traces are a traceparent for each event, or as many spaces; nothing when none is
-- traced. They are published with the events, and not stored.
-- Returns for each event its seq, negative when its key was known or there was nothing to do, 0 when its target is
-- gone; then base, generation, lineage.
local FIRST_EVENT, GENERATIONS, TRACE = 9, 32, 55

local function read_head()
  return redis.call('HMGET', head, 'v', 's', 'b', 'g', 'l', 'r', 'i', 't', 'e', 'x', 'a')
end

-- The event's entry, with its trace, the `n`th of them, in front of its key.
local function with_trace(entry, traces, n)
  local trace = string.sub(traces, n * TRACE + 1, (n + 1) * TRACE)
  if string.sub(trace, 1, 1) == ' ' then
    return entry
  end
  local length = string.char(string.byte(entry, 2) + 1 + TRACE)
  return string.sub(entry, 1, 1) .. length .. '\1' .. trace .. string.sub(entry, 3)
end

-- The negative seq of an event that was appended by this key before.
local function known_as(key)
  local seq = redis.call('ZSCORE', ids, key)
  return seq and -tonumber(seq)
end

local function append(args, amend)
  local publish, channel, length = args[1], args[2], args[4]
  local log_life, head_life, id_life = tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
  local traces = args[8]
  local now = milliseconds()

  local known = read_head()
  check_version(known[1])
  if not known[1] then
    begin(args[3], head_life, now)
    known = read_head()
  end
  local seq, base, generation, lineage, last_server = tonumber(known[2]), known[3], known[4], known[5], known[6]
  local young, young_since = tonumber(known[7]), tonumber(known[8])
  local log_renewed, head_renewed = tonumber(known[9]), tonumber(known[10])
  local before = seq

  -- Another server than the last time: what it did not get from that one is lost, and its numbers go to others.
  local here = server_id(now)
  if here ~= last_server then
    generation = generation_name(tonumber(string.match(generation, '^%d+')) + 1, here)
    lineage = lineage .. ' ' .. generation .. ':' .. digits(seq + 1)
    local _, spaces = string.gsub(lineage, ' ', '')
    if spaces >= GENERATIONS then
      lineage = string.match(lineage, ' (.*)$')
    end
  end

  -- Ids have two generations; when the young one is old enough it becomes the old one, and the old one goes.
  local id_age = now - young_since
  local ids_turn = id_age >= id_life
  if ids_turn then
    local gone = id_age >= 2 * id_life and seq or young - 1
    redis.call('ZREMRANGEBYSCORE', ids, '-inf', digits(gone))
    young, young_since = seq + 1, now
  end

  local reply, fresh, newest = {}, {}, nil
  for i = FIRST_EVENT, amend and FIRST_EVENT or #args, 2 do
    local key, entry = args[i], args[i + 1]
    local number = digits(seq + 1)
    local settled = amend and (known_as(key) or amend.judge(base))
    if not settled and redis.call('ZADD', ids, 'NX', number, key) == 0 then
      settled = known_as(key)
    end
    if settled then
      reply[#reply + 1] = settled
    else
      local stored = redis.pcall('XADD', log, 'MAXLEN', '~', length, number .. '-0', generation, entry)
      if type(stored) == 'table' then
        redis.call('ZREM', ids, key)
        return stored
      end
      seq = seq + 1
      reply[#reply + 1] = seq
      newest = number
      fresh[#fresh + 1] = { number, traces == '' and entry or with_trace(entry, traces, (i - FIRST_EVENT) / 2) }
      if amend then
        amend.apply(base, seq, head_life)
      end
    end
  end

  if #fresh == 0 then
    -- Another connection appended all of it, or another node did. A write of this one's own, of what is there already,
    -- comes behind that in what the replicas get, and so WAIT on this one answers for it. Nothing is renewed: there may be no
    -- log any more, and the next one would be taken for one that has its life. Whatever was the ids' turn is so again.
    redis.call('HSET', head, 's', digits(seq))
  else
    -- Most of the time only the number has changed.
    local only_seq = here == last_server and not ids_turn
    -- Half of a life, or another life: half of a longer one may be more than what is left of the shorter.
    if now - log_renewed >= log_life / 2 or known[11] ~= args[5] then
      renew(log, log_life)
      log_renewed, only_seq = now, false
    end
    if before == 0 or ids_turn then
      renew(ids, 2 * id_life)
    end
    -- Until its first event it had the life of one that nobody uses.
    if before == 0 or now - head_renewed >= head_life / 2 then
      renew(head, head_life)
      renew_marks(head_life)
      head_renewed, only_seq = now, false
    end
    if only_seq then
      redis.call('HSET', head, 's', newest)
    else
      redis.call('HSET', head, 's', digits(seq), 'g', generation, 'l', lineage, 'r', here, 'i', digits(young),
        't', digits(young_since), 'e', digits(log_renewed), 'x', digits(head_renewed),
        'a', args[5])
    end
  end

  for _, event in ipairs(fresh) do
    redis.call(publish, channel, '\1e' .. base .. '.' .. generation .. ' ' .. event[1] .. '\n' .. event[2])
  end
  reply[#reply + 1] = base
  reply[#reply + 1] = generation
  reply[#reply + 1] = lineage
  return reply
end
