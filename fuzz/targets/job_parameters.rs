//! The body of InitiateJob.

#![no_main]

use glacierfs::server::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| fuzzing::job_parameters(body));
