//! Journals of mt-aws-glacier.

#![no_main]

use glacierfs::import::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::journal(bytes));
