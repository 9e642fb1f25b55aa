//! Descriptions of archives: our own and foreign ones.

#![no_main]

use glacierfs::glacier::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| fuzzing::description(text));
