-- Reads fields of several customers' hashes.
--
-- KEYS   the hashes
-- ARGV   for each key: the number of fields, then the fields
-- Returns one flat list: for each key its `seq` (nil when there is no hash), then a value or nil for each field.
--
-- The law: it reads and decides nothing. Nothing here does arithmetic on a quantity.
local answer, size, at = {}, 0, 1
for _, key in ipairs(KEYS) do
  local count = tonumber(ARGV[at])
  local found = redis.call('HMGET', key, 'seq', unpack(ARGV, at + 1, at + count))
  for place = 1, count + 1 do
    size = size + 1
    answer[size] = found[place]
  end
  at = at + 1 + count
end
return answer
