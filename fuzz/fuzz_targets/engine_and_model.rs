//! Hands what libFuzzer makes up to [`lobbyd_fuzz::engine_and_model`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lobbyd_fuzz::engine_and_model(data));
