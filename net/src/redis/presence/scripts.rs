//! What has to happen in Redis in one piece, in Lua.
//!
//! They are sent as text (`EVAL`), so that nothing has to be loaded again after a restart, a fail-over or a
//! `SCRIPT FLUSH`. Renewals and releases go by the hundred in one call, which makes up for the bytes.

/// Gives leases back: deletes each key that holds the given value.
///
/// `KEYS[i]` key, `ARGV[i]` value; answers an array: 1 where a key was deleted, else 0.
pub const RELEASE: &str = "\
local answers = {}
for i, key in ipairs(KEYS) do
  answers[i] = 0
  if redis.pcall('GET', key) == ARGV[i] then
    redis.call('DEL', key)
    answers[i] = 1
  end
end
return answers
";

/// Renews leases: sets the life of each key that holds the given value.
///
/// `KEYS[i]` key, `ARGV[1]` life in milliseconds, `ARGV[i + 1]` value; answers an array: 1 where it was renewed, 0 where
/// there is no such key, the key's value where it is another one, -1 where the key holds no string. It never creates a
/// key, so that one which runs late, after the lease was given back, does no harm.
pub const RENEW: &str = "\
local answers = {}
for i, key in ipairs(KEYS) do
  local owner = redis.pcall('GET', key)
  if owner == ARGV[i + 1] then
    redis.call('PEXPIRE', key, ARGV[1])
    answers[i] = 1
  elseif not owner then
    answers[i] = 0
  elseif type(owner) == 'string' then
    answers[i] = owner
  else
    answers[i] = -1
  end
end
return answers
";

/// Takes a lease that is free, or that still has the owner that was seen, and publishes the eviction.
///
/// `KEYS[1]` key, `ARGV[1]` value, `ARGV[2]` life in milliseconds, `ARGV[3]` the value that may be replaced, or nothing,
/// `ARGV[4]` channel, on which the replaced value is published; answers 1, or the value of another owner.
pub const REPLACE: &str = "\
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[3] then
  return owner
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if owner then
  redis.pcall('PUBLISH', ARGV[4], owner)
end
return 1
";
