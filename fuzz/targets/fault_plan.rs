//! Plans of faults, which testers write.

#![no_main]

use glacierfs::server::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| fuzzing::fault_plan(json));
