//! The bodies that set tags, notifications, policies and the limit of retrievals.

#![no_main]

use glacierfs::server::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| fuzzing::settings(body));
