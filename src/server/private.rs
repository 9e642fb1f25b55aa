//! Small private files of the data directory, each replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes the file `name` of the directory `data` with mode 0600. It is the old one or the new one at any time, and on
/// stable storage when this answers. Blocks.
pub(super) fn write(data: &Path, name: &str, text: &str) -> io::Result<()> {
    let temporary = data.join(format!("{name}.new"));
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, data.join(name))?;
    File::open(data)?.sync_all()
}
