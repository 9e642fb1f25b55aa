//! Identifiers in the shapes of the real service: opaque, of `[A-Za-z0-9_-]`, in the lengths that clients with
//! fixed-width columns expect.
//!
//! All but request IDs begin with their time in hexadecimal, so that an index over them grows at its end instead
//! of being rewritten all over for each batch of uploads, and so that none begins with a `-`, which command lines take
//! for an option. The rest is random, and enough of it that nobody guesses an ID.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::Rng;

/// A new archive ID: 138 characters.
pub(super) fn archive(now: Timestamp) -> String {
    timed(now, 138)
}

/// A new job ID: 92 characters.
pub(super) fn job(now: Timestamp) -> String {
    timed(now, 92)
}

/// A new upload ID: 92 characters.
pub(super) fn upload(now: Timestamp) -> String {
    timed(now, 92)
}

/// A new lock ID: 24 characters.
pub(super) fn lock(now: Timestamp) -> String {
    timed(now, 24)
}

/// A new ID of a unit of provisioned capacity: 24 characters.
pub(super) fn capacity(now: Timestamp) -> String {
    timed(now, 24)
}

/// A new request ID: 47 characters.
pub(super) fn request() -> String {
    let mut bytes = [0; 35];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `length` characters, at most 140: twelve of time in milliseconds, the rest random.
fn timed(now: Timestamp, length: usize) -> String {
    let mut bytes = [0; 96];
    rand::rng().fill_bytes(&mut bytes);
    let mut id = format!("{:012x}", now.as_millisecond());
    URL_SAFE_NO_PAD.encode_string(bytes, &mut id);
    id.truncate(length);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: IDs have the real lengths, sort by time, and begin with no dash.
    #[test]
    fn shapes() {
        let now = Timestamp::now();
        let later = now + std::time::Duration::from_millis(5);
        assert_eq!((archive(now).len(), job(now).len(), upload(now).len(), request().len()), (138, 92, 92, 47));
        assert!(archive(now) != archive(now) && archive(now) < archive(later) && !job(now).starts_with('-'));
    }
}
