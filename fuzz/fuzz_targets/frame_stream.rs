//! Hands what libFuzzer makes up to [`lobbyd_fuzz::frame_stream`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lobbyd_fuzz::frame_stream(data));
