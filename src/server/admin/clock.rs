//! The virtual clock's place on disk, and its moves by request.
//!
//! `DIR/clock` holds the time that the clock has been moved to. It is written before the clock moves, so that what
//! happens at the new time is never older than what a restart finds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::glacier::error::ServiceError;
use crate::glacier::wire::Date;
use crate::server::error::invalid;
use crate::server::private;
use crate::util::clock::{self, Clock};

/// The file's name in the data directory.
const FILE: &str = "clock";
/// The earliest time that a virtual clock can show ...
const EARLIEST: Timestamp = Timestamp::UNIX_EPOCH;
/// ... and the latest: from there, every expiry is still in the calendar.
const LATEST: Timestamp = Timestamp::constant(221_845_392_000, 0);

/// The time that a data directory's virtual clock has been moved to; `None` when there never was one.
pub fn stored(data: &Path) -> io::Result<Option<Timestamp>> {
    let path = data.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let wrong = |why: String| {
        let message = format!("{} holds no time, such as 2027-01-01T00:00:00Z: {why}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let time = text.trim().parse().map_err(|error: jiff::Error| wrong(error.to_string()))?;
    check(time).map(|()| Some(time)).map_err(wrong)
}

/// Whether a virtual clock can show a time. The error says which ones are allowed.
pub fn check(time: Timestamp) -> Result<(), String> {
    match (EARLIEST..=LATEST).contains(&time) {
        true => Ok(()),
        false => Err(format!("a virtual clock can't show {time}: allowed are times from {EARLIEST} to {LATEST}")),
    }
}

/// Brings a virtual clock to the time that is stored for `data`, unless it is later already, and stores its time. Blocks.
pub(in crate::server) fn resume(data: &Path, clock: &Clock) -> io::Result<()> {
    let stored = stored(data)?;
    if !clock.is_virtual() {
        if let Some(time) = stored.filter(|time| *time > clock.now()) {
            log::warn!(
                "the data was used at {time} of a virtual clock: until then, what happened in it lies in the future"
            );
        }
        return Ok(());
    }
    if let Some(time) = stored {
        clock.advance_to(time);
    }
    store(data, clock.now())
}

fn store(data: &Path, time: Timestamp) -> io::Result<()> {
    private::write(data, FILE, &format!("{time}\n"))
}

/// What a clock shows, as the route answers it.
#[derive(Serialize)]
pub(super) struct Shown {
    mode: &'static str,
    now: Date,
}

impl Shown {
    pub fn of(clock: &Clock) -> Self {
        Shown { mode: if clock.is_virtual() { "virtual" } else { "real" }, now: Date(clock.now()) }
    }
}

/// Where a clock is to be moved: exactly one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    advance: Option<String>,
    set: Option<String>,
}

/// Moves the clock of a data directory, one move at a time.
pub(in crate::server) struct Mover {
    data: PathBuf,
    moving: Mutex<()>,
}

impl Mover {
    pub fn new(data: &Path) -> Self {
        Mover { data: data.to_owned(), moving: Mutex::default() }
    }

    /// Moves `clock` as `asked`; it never goes back.
    pub(super) async fn apply(&self, clock: &Clock, asked: &Move) -> Result<(), ServiceError> {
        if !clock.is_virtual() {
            return Err(invalid(
                "The clock is the real one, which can't be moved. A virtual one is: serve --clock virtual.",
            ));
        }
        let _one = self.moving.lock().await;
        let now = clock.now();
        let target = asked.target(now)?;
        if target < now {
            return Err(invalid(format!("The clock shows {now}, and can't go back to {target}.")));
        }
        check(target).map_err(invalid)?;
        let data = self.data.clone();
        spawn_blocking(move || store(&data, target)).await??;
        clock.advance_to(target);
        log::info!("the clock shows {target} now");
        Ok(())
    }
}

impl Move {
    fn target(&self, now: Timestamp) -> Result<Timestamp, ServiceError> {
        match (&self.advance, &self.set) {
            (Some(text), None) => {
                let by: Duration = humantime::parse_duration(text).map_err(|error| {
                    invalid(format!(
                        "Invalid advance: {text:?}: {error}. Allowed are numbers with units, such as 90s, 3h or 1day 12h."
                    ))
                })?;
                Ok(clock::add(now, by))
            }
            (None, Some(text)) => text.parse().map_err(|_| {
                invalid(format!("Invalid set: {text:?}. Allowed are times such as 2027-01-01T00:00:00Z."))
            }),
            _ => Err(invalid("Allowed is exactly one of advance, such as 3h, and set, such as 2027-01-01T00:00:00Z.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: what a clock was moved to is where the next one on the data begins, unless that is told to begin later; a
    /// refused move moves nothing, and a broken file is named.
    #[tokio::test]
    async fn moves_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let start: Timestamp = "2027-01-01T00:00:00Z".parse().expect("a time");
        let (data, clock) = (dir.path(), Clock::virtual_at(start));
        assert_eq!(stored(data).expect("readable"), None);
        resume(data, &clock).expect("stored");
        let mover = Mover::new(data);
        let asked = |advance: Option<&str>, set: Option<&str>| Move {
            advance: advance.map(str::to_owned),
            set: set.map(str::to_owned),
        };
        mover.apply(&clock, &asked(Some("3h"), None)).await.expect("moves");
        mover.apply(&clock, &asked(None, Some("2027-01-01T04:00:00+01:00"))).await.expect("stays");
        for (advance, set, says) in [
            (
                None,
                Some("2027-01-01T02:59:59Z"),
                "shows 2027-01-01T03:00:00Z, and can't go back to 2027-01-01T02:59:59Z",
            ),
            (None, Some("tomorrow"), "Invalid set: \"tomorrow\""),
            (Some("3"), None, "Invalid advance: \"3\""),
            (Some("10000years"), None, "allowed are times from 1970-01-01T00:00:00Z to 9000-01-01T00:00:00Z"),
            (None, None, "exactly one"),
            (Some("1s"), Some("2028-01-01T00:00:00Z"), "exactly one"),
        ] {
            let error = mover.apply(&clock, &asked(advance, set)).await.expect_err(says);
            assert!(error.status == 400 && error.message.contains(says), "{error}");
        }
        let shown: Timestamp = "2027-01-01T03:00:00Z".parse().expect("a time");
        assert_eq!((clock.now(), stored(data).expect("readable")), (shown, Some(shown)));
        for (begins, shows) in [(start, shown), (shown + Duration::from_secs(9), shown + Duration::from_secs(9))] {
            let next = Clock::virtual_at(begins);
            resume(data, &next).expect("resumes");
            assert_eq!((next.now(), stored(data).expect("readable")), (shows, Some(shows)));
        }
        let real = mover.apply(&Clock::real(), &asked(Some("3h"), None)).await.expect_err("real");
        assert!(real.message.contains("can't be moved"), "{real}");
        fs::write(data.join(FILE), "noon").expect("written");
        assert!(stored(data).expect_err("broken").to_string().contains("clock holds no time"));
        fs::write(data.join(FILE), "9999-01-01T00:00:00Z").expect("written");
        assert!(stored(data).expect_err("too late").to_string().contains("can't show 9999-01-01T00:00:00Z"));
    }
}
