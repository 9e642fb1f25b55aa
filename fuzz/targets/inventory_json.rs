//! Inventories in JSON, read item by item.

#![no_main]

use glacierfs::glacier::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| fuzzing::inventory_json(json));
