//! Error responses, of the service or of whatever answers in its place.
//!
//! An input is the status, a line break, `x-amzn-ErrorType`, a line break, and the body.

#![no_main]

use glacierfs::glacier::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let status = lines.next().and_then(|line| str::from_utf8(line).ok()).and_then(|line| line.parse().ok());
    let header = lines.next().filter(|line| !line.is_empty());
    fuzzing::error(status.unwrap_or(500), header, lines.next().unwrap_or_default());
});
