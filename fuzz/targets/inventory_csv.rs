//! Inventories in CSV.

#![no_main]

use glacierfs::glacier::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|csv: &str| fuzzing::inventory_csv(csv));
