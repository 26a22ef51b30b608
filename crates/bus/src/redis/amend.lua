-- What an edit, a deletion or a reaction does besides being appended. It goes with a batch of one event.
--
-- marks: a hash beside the log. They belong to one base; those of another are as good as none.
--   b       the base
--   p       the head when they were last pruned
--   e<seq>  the edits of a message: "<seq> <seq> ..."
--   d<seq>  what is left of a deleted event: "<seq of the deletion> <its generation>\n<its entry without data>"
--   r<seq> <user>\0<key>  where a reaction was put on or, negative, taken away
-- args, behind the event: "edit", "delete", "on" or "off"; the target's epoch and seq; a reaction's user and key.

-- Marks that are left when the log has moved on by so much are looked through, and what is before the log goes.
local PRUNE_AFTER = 1000

local function entry_at(seq)
  return redis.call('XRANGE', log, seq .. '-0', seq .. '-0')[1]
end

-- The entry as amend.rs' twin, proto::event::redact, leaves it; the key in front may hold any bytes.
local function redacted(entry)
  local body = 3 + string.byte(entry, 2)
  local data = string.find(entry, ',"data":', body, true)
  return data and string.sub(entry, 1, data - 1) .. ',"deleted":true}' or entry
end

local function is_message(entry)
  return string.sub(entry, 3 + string.byte(entry, 2)):find('"type":"message"', 1, true) == 1
end

local function amendment(marks, args)
  local action, target_epoch, target, what = args[11], args[12], args[13], args[14]
  local reaction = 'r' .. target .. ' ' .. what

  local function delete(seq, by)
    local found = entry_at(seq)
    if found then
      redis.call('HSET', marks, 'd' .. seq, by .. ' ' .. found[2][1] .. '\n' .. redacted(found[2][2]))
      redis.call('XDEL', log, found[1])
    end
  end

  local function prune(now_at)
    local pruned = tonumber(redis.call('HGET', marks, 'p') or '0')
    if now_at - pruned < PRUNE_AFTER then
      return
    end
    redis.call('HSET', marks, 'p', digits(now_at))
    local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
    local first = oldest and tonumber(string.match(oldest[1], '^%d+')) or now_at
    -- What was deleted at the very front still belongs to the log.
    while redis.call('HEXISTS', marks, 'd' .. digits(first - 1)) == 1 do
      first = first - 1
    end
    for _, field in ipairs(redis.call('HKEYS', marks)) do
      local seq = tonumber(string.match(field, '^[edr](%d+)'))
      if seq and seq < first then
        redis.call('HDEL', marks, field)
      end
    end
  end

  local amend = {}

  -- 0 when the target is gone, the negative seq where it was done when there is nothing to do; otherwise nothing.
  function amend.judge(base)
    local own = redis.call('HGET', marks, 'b') == base
    local deleted = own and redis.call('HGET', marks, 'd' .. target)
    if deleted then
      local by, generation = string.match(deleted, '^(%d+) ([^\n]*)\n')
      local same = base .. '.' .. generation == target_epoch
      return same and action == 'delete' and -tonumber(by) or 0
    end
    local found = entry_at(target)
    if not found or base .. '.' .. found[2][1] ~= target_epoch or not is_message(found[2][2]) then
      return 0
    end
    if what ~= '' then
      local before = tonumber(own and redis.call('HGET', marks, reaction) or '0')
      if action == 'on' and before > 0 then
        return -before
      elseif action == 'off' and before <= 0 then
        return before < 0 and before or -tonumber(target)
      end
    end
  end

  function amend.apply(base, seq, life)
    if redis.call('HGET', marks, 'b') ~= base then
      redis.call('DEL', marks)
      redis.call('HSET', marks, 'b', base, 'p', digits(seq))
    end
    renew(marks, life)
    local number = digits(seq)
    if action == 'edit' then
      local edits = redis.call('HGET', marks, 'e' .. target)
      redis.call('HSET', marks, 'e' .. target, edits and edits .. ' ' .. number or number)
    elseif action == 'delete' then
      for edit in string.gmatch(redis.call('HGET', marks, 'e' .. target) or '', '%d+') do
        delete(edit, number)
      end
      redis.call('HDEL', marks, 'e' .. target)
      delete(target, number)
      redis.call('HSET', head, 'd', '1')
    else
      redis.call('HSET', marks, reaction, action == 'on' and number or '-' .. number)
    end
    prune(seq)
  end

  return amend
end
