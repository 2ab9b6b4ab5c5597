//! Frames between the host and process 1 of a sandbox, which is not trusted.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    palisade_init_protocol::fuzz::decode_all(bytes);
});
