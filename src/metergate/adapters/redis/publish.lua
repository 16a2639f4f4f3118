-- Makes commits known to the fast view.
--
-- KEYS   the customers' hashes
-- ARGV   the time to live in milliseconds; then for each key: the `seq` before the commit ("" = begin anew),
--        the `seq` of the commit, the number of fields to set and to delete, the pairs to set, the fields to delete
--
-- The law: a hash holds counters as they were at its `seq`, whole. A newer `seq` stays; one that is not the
-- next means that commits in between are not known here, so everything older is forgotten first and will be
-- read through. `seq` has a fixed width and is compared as text; nothing here does arithmetic on a quantity.
-- Where there is no news the hash is not touched, since readers drop their copies of what is.
-- A hash that has grown too long, with windows that are over or values that were only asked for, begins anew.
local FIELDS_MOST = 1000
local ttl, at = ARGV[1], 2
for _, key in ipairs(KEYS) do
  local before, seq = ARGV[at], ARGV[at + 1]
  local sets, drops = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local current = redis.call('HGET', key, 'seq')
  at = at + 4
  local news = sets > 0 or drops > 0 or current ~= seq
  if news and not (current and current > seq) then
    if current and ((current ~= before and current ~= seq) or redis.call('HLEN', key) > FIELDS_MOST) then
      redis.call('DEL', key)
    end
    if current or sets > 0 then
      redis.call('HSET', key, 'seq', seq)
      for place = at, at + 2 * sets - 2, 2 do
        redis.call('HSET', key, ARGV[place], ARGV[place + 1])
      end
      for place = at + 2 * sets, at + 2 * sets + drops - 1 do
        redis.call('HDEL', key, ARGV[place])
      end
      redis.call('PEXPIRE', key, ttl)
    end
  end
  at = at + 2 * sets + drops
end
return 0
