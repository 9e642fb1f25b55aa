//! The file with the endpoint's key, and tiers, which people write too.

#![no_main]

use glacierfs::server::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    fuzzing::shared_credentials(text);
    fuzzing::key_file(text);
    glacierfs::service::fuzzing::tier(text);
});
