//! Tree hashes as text, and the alignment of ranges.

#![no_main]

use glacierfs::glacier::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, u64, u64, bool, &str)| {
    let (size, first, last, small, text) = input;
    // Few numbers are aligned by chance.
    let mib = |number: u64| (number % 64) << 20;
    if small {
        fuzzing::tree_hash(text, mib(size) + size / 64 % (1 << 20), mib(first), mib(last) + (1 << 20) - 1);
    } else {
        fuzzing::tree_hash(text, size, first, last);
    }
});
