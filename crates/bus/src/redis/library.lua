-- What can be called of the library. Its names end with what is in it: several versions may be there at the same time.
redis.register_function('chorus_append_VERSION', function(keys, args)
  in_room(keys)
  return append(args)
end)

redis.register_function('chorus_amend_VERSION', function(keys, args)
  in_room(keys)
  return append(args, amendment(keys[4], args))
end)
