//! Snapshots of a vault's tree, decompressed.

#![no_main]

use glacierfs::snapshot::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::snapshot(bytes));
