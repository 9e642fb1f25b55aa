//! Messages of a queue that are to tell of jobs.

#![no_main]

use glacierfs::notify::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| fuzzing::message(text));
