//! Hands what libFuzzer makes up to [`lobbyd_fuzz::journal`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lobbyd_fuzz::journal(data));
