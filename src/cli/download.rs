//! The output of a job into a file or to standard output, compared with its tree hash.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use futures_util::TryStreamExt;

use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::glacier::client::Client;
use crate::glacier::treehash::TreeHasher;
use crate::glacier::wire::Action;
use crate::util::size;

/// How often an output is asked for again while no byte of it comes.
const TRIES: u32 = 5;

/// The bytes from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    first: u64,
    last: u64,
}

impl Range {
    /// How many bytes they are; all of them are counted as one less, which no file has.
    pub fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a range: allowed is FIRST-LAST in bytes from 0, such as 0-1048575");
        let (first, last) = text.split_once('-').ok_or_else(bad)?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| bad()),
            false => Err(bad()),
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last { Err(bad()) } else { Ok(Range { first, last }) }
    }
}

/// Refuses a terminal as the place for an archive's bytes.
pub fn check_stdout() -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        true => {
            let message = "an archive's bytes aren't for a terminal: name a file with -o, or use a pipe";
            Err(Failure::new(Code::Usage, message))
        }
        false => Ok(()),
    }
}

/// Writes the output of `job`, or `range` of it, to `file` or to standard output.
pub async fn download(
    client: &Client,
    vault: &str,
    job: &str,
    file: Option<PathBuf>,
    range: Option<Range>,
) -> Result<(), Failure> {
    let description = client.describe_job(vault, job).await?;
    if file.is_none() && description.action != Action::InventoryRetrieval {
        check_stdout()?;
    }
    let mut target = Target::new(file)?;
    let answer = client.get_job_output(vault, job, range.map(|range| range.first..=range.last)).await?;
    let expected = answer.tree_hash.or(if range.is_none() { description.tree_hash } else { None });
    let end = answer.content_range.map(|(_, last, _)| last.saturating_add(1)).or(answer.len);
    let first = range.map_or(0, |range| range.first);
    let bar = output::bytes_bar("reading");
    bar.set_length(end.unwrap_or_default().saturating_sub(first));
    let (mut stream, mut hasher, mut bytes, mut tries) = (answer.stream, TreeHasher::new(), 0, 0);
    loop {
        match stream.try_next().await {
            Ok(None) => break,
            Ok(Some(piece)) => {
                hasher.update(&piece);
                target.write(&piece)?;
                bytes += piece.len() as u64;
                bar.set_position(bytes);
                tries = 0;
            }
            // What broke off goes on where it was, where there is more and the service has said how much.
            Err(error) => match end.filter(|end| first + bytes < *end && tries < TRIES && error.is_retryable()) {
                Some(end) => {
                    tries += 1;
                    stream = client.get_job_output(vault, job, Some(first + bytes..=end - 1)).await?.stream;
                }
                None => return Err(error.into()),
            },
        }
    }
    bar.finish_and_clear();
    let found = hasher.finish();
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        let message = format!("the {bytes} bytes that came have tree hash {found}, but should have {expected}");
        return Err(Failure::new(Code::Failed, message));
    }
    let checked = if expected.is_some() { "compared with its tree hash" } else { "without a tree hash to compare" };
    match target.finish()? {
        Some(path) => output::print(&format!("{}: {}, {checked}.\n", path.display(), size::human(bytes))),
        None => Ok(()),
    }
}

/// Where bytes go.
enum Target {
    Stdout(io::Stdout),
    File { file: File, part: Part, path: PathBuf },
}

/// A file that isn't complete, gone when it is dropped.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Once it has its name there is none left.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Target {
    fn new(path: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Target::Stdout(io::stdout())) };
        let wrong = |reason: String| Failure::new(Code::Failed, format!("{}: {reason}", path.display()));
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            return Err(wrong("a directory can't be written to; name a file".to_owned()));
        };
        let mut part = std::ffi::OsString::from(".");
        part.push(name);
        part.push(format!(".part-{}", std::process::id()));
        let part = path.with_file_name(part);
        let file = File::create_new(&part).map_err(|error| wrong(format!("it can't be written: {error}")))?;
        Ok(Target::File { file, part: Part(part), path })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Target::Stdout(stdout) => Ok(stdout.lock().write_all(bytes)?),
            Target::File { file, path, .. } => file.write_all(bytes).map_err(|error| cant_write(path, &error)),
        }
    }

    /// Gives a file its name, and answers it.
    fn finish(self) -> Result<Option<PathBuf>, Failure> {
        match self {
            Target::Stdout(mut stdout) => stdout.flush().map(|()| None).map_err(Failure::from),
            Target::File { file, part, path } => {
                let named = file.sync_all().and_then(|()| std::fs::rename(&part.0, &path));
                named.map_err(|error| cant_write(&path, &error)).map(|()| Some(path))
            }
        }
    }
}

fn cant_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("{}: it can't be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: ranges read as the API writes them, and others are refused with what is allowed.
    #[test]
    fn ranges() {
        assert_eq!("0-1048575".parse(), Ok(Range { first: 0, last: 1_048_575 }));
        assert_eq!("5-5".parse::<Range>().map(Range::len), Ok(1));
        for text in ["", "5", "-5", "5-", "6-5", "+1-5", "0-99999999999999999999", "a-b"] {
            let message = text.parse::<Range>().expect_err(text);
            assert!(message.contains("allowed is FIRST-LAST"), "{message}");
        }
        assert_eq!(format!("0-{}", u64::MAX).parse::<Range>().map(Range::len), Ok(u64::MAX));
    }

    /// Promise: a file that isn't finished leaves nothing behind, and the one before it as it was.
    #[test]
    fn unfinished_files_vanish() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("photos.tar");
        std::fs::write(&path, "before").expect("a file");
        let mut target = Target::new(Some(path.clone())).expect("a target");
        target.write(b"after").expect("written");
        drop(target);
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "before");
        let mut target = Target::new(Some(path.clone())).expect("a target");
        target.write(b"after").expect("written");
        assert_eq!(target.finish(), Ok(Some(path.clone())));
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "after");
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1);
    }
}
