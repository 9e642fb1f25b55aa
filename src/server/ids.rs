//! Identifiers in the shapes of the real service: opaque, of `[A-Za-z0-9_-]`, in the lengths that clients with
//! fixed-width columns expect.
//!
//! Archive, job and upload IDs begin with their time, so that an index over them grows at its end instead of being
//! rewritten all over for each batch of uploads, and so that none begins with a `-`, which command lines take for an
//! option. The rest is random, and enough of it that nobody guesses an ID.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::Rng;

/// A new archive ID: 138 characters.
pub(super) fn archive(now: Timestamp) -> String {
    timed::<103>(now)
}

/// A new job ID: 92 characters.
pub(super) fn job(now: Timestamp) -> String {
    timed::<69>(now)
}

/// A new upload ID: 92 characters.
pub(super) fn upload(now: Timestamp) -> String {
    timed::<69>(now)
}

/// A new request ID: 47 characters.
pub(super) fn request() -> String {
    let mut bytes = [0; 35];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `LENGTH` bytes, six of time in milliseconds and the rest random, in base64.
fn timed<const LENGTH: usize>(now: Timestamp) -> String {
    let mut bytes = [0; LENGTH];
    rand::rng().fill_bytes(&mut bytes);
    bytes[..6].copy_from_slice(&now.as_millisecond().to_be_bytes()[2..]);
    URL_SAFE_NO_PAD.encode(bytes)
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
        assert!(archive(now) != archive(now) && archive(now)[..8] < archive(later)[..8] && !job(now).starts_with('-'));
    }
}
