"""What Redis does in one step. Each script touches one key, so that a cluster can run it."""

from enum import StrEnum
from typing import Final


class Mode(StrEnum):
    """What a document or catalogue may be written over, besides an unreadable one."""

    NEWER = "newer"
    """An older one, or none."""
    REPAIR = "repair"
    """An older one, one of the same position, or none."""
    REPLACE = "replace"
    """An older one, or one of the same position; where there is none, none is needed."""


WRITE: Final = """
-- KEYS: document or catalogue. ARGV: text, epoch, revision, seconds to live (0: for ever), mode.
-- Answers 1 written, 0 not; or the newer position that is held.
local epoch, revision = tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.pcall('GET', KEYS[1])
if held == false and ARGV[5] == 'replace' then
  return 0
end
if type(held) == 'string' then
  local readable, value = pcall(cjson.decode, held)
  if readable and type(value) == 'table' and type(value.epoch) == 'number' and type(value.revision) == 'number'
    and value.epoch <= 4102444800 then
    if value.epoch > epoch or (value.epoch == epoch and value.revision > revision) then
      return string.format('%.0f.%.0f', value.epoch, value.revision)
    end
    if value.epoch == epoch and value.revision == revision and ARGV[5] == 'newer' then
      return 0
    end
  end
end
if ARGV[4] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])
end
return 1
"""

ADVANCE: Final = """
-- KEYS: meta. ARGV: epoch, revision before, revision after, count, digest.
local held = redis.pcall('HMGET', KEYS[1], 'epoch', 'revision')
if held.err then
  return 'missing'
end
local epoch, revision = tonumber(held[1] or ''), tonumber(held[2] or '')
if not epoch or not revision then
  return 'missing'
end
local to_epoch, before, after = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if epoch < to_epoch or (epoch == to_epoch and revision < before) then
  return 'behind'
end
if epoch > to_epoch or revision > after then
  return 'ahead'
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'revision', ARGV[3], 'count', ARGV[4], 'digest', ARGV[5])
return 'advanced'
"""

BEGIN_REFILL: Final = """
-- KEYS: meta. ARGV: token. Until the refill ends, Redis is said to hold nothing.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return 1
"""

END_REFILL: Final = """
-- KEYS: meta. ARGV: token, epoch, revision, count, digest.
local held = redis.pcall('HGET', KEYS[1], 'token')
if held ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'revision', ARGV[3], 'count', ARGV[4], 'digest', ARGV[5])
return 1
"""

ALL: Final = (WRITE, ADVANCE, BEGIN_REFILL, END_REFILL)
