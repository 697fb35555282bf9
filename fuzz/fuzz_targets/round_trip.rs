//! Hands what libFuzzer makes up to [`lobbyd_fuzz::round_trip`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lobbyd_fuzz::round_trip(data));
