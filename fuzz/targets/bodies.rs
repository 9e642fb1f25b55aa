//! JSON bodies: what the service answers, what requests carry, and what becomes of a job.

#![no_main]

use glacierfs::glacier::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    fuzzing::bodies(json);
    glacierfs::service::fuzzing::jobs(json);
});
