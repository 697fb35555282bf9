//! Hands what libFuzzer makes up to [`lobbyd_fuzz::redis_replies`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lobbyd_fuzz::redis_replies(data));
