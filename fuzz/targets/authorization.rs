//! The signature's header and date, and the canonical form of any path and query.
//!
//! An input is lines: `Authorization`, the date, the path, the query; what follows is the body.

#![no_main]

use glacierfs::glacier::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(5, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (authorization, date, path, query, body) = (line(), line(), line(), line(), line());
    fuzzing::authorization(authorization.as_bytes(), date.as_bytes(), path, query, body.as_bytes());
});
