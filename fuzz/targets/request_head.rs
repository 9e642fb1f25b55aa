//! Method, path, query and headers of a request to the endpoint.
//!
//! An input is lines: the method, the path, the query; what follows is the value of a header.

#![no_main]

use glacierfs::server::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    fuzzing::path(line(), line());
    fuzzing::query(line());
    let rest = line();
    fuzzing::headers(rest.as_bytes());
    glacierfs::glacier::fuzzing::vault_name(rest);
});
