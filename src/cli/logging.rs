//! Sets up logging to standard error: with times for people, with priorities for systemd's journal.

use std::io::Write;

use env_logger::Builder;
use log::Level;

/// Logs from now on what `filter` (a checked setting) lets through.
pub fn start(filter: &str) {
    let mut builder = Builder::new();
    builder.parse_filters(filter);
    // systemd sets this for services whose standard error is the journal, which knows times itself.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.format(|out, record| {
            let priority = match record.level() {
                Level::Error => 3,
                Level::Warn => 4,
                Level::Info => 6,
                Level::Debug | Level::Trace => 7,
            };
            writeln!(out, "<{priority}>{}: {}", record.target(), record.args())
        });
    } else {
        builder.format_timestamp_millis();
    }
    // A second start, as in tests, leaves the first in place.
    let _ = builder.try_init();
}
