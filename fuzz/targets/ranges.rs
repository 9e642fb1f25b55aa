//! Ranges in headers and in JSON, on both sides.
//!
//! An input is the size of what a range is of, a line break, and the range.

#![no_main]

use glacierfs::server::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (total, range) = text.split_once('\n').unwrap_or(("10", text));
    let total = total.parse().unwrap_or(10).max(1);
    fuzzing::range(range, total);
    fuzzing::retrieval_range(range, total);
    fuzzing::content_range(range);
    glacierfs::glacier::fuzzing::content_range(range);
    glacierfs::service::fuzzing::range(range);
});
