//! mt-aws-glacier keeps a journal: a line for what it did, the oldest first. An archive that was made and not deleted is
//! there. The first version of a line has blanks between its fields, A, B and C have tabs and begin with the letter:
//!
//! ```text
//! TIME CREATED ARCHIVE SIZE TREEHASH PATH
//! B  TIME  CREATED  ARCHIVE  SIZE  MTIME|NONE  TREEHASH  PATH
//! B  TIME  DELETED  ARCHIVE  PATH
//! B  TIME  RETRIEVE_JOB  ARCHIVE  JOB
//! ```

use std::collections::HashMap;
use std::io::BufRead;

use jiff::Timestamp;

use super::Error;
use super::Import;
use super::Named;
use super::archive_id;
use crate::glacier::treehash::TreeHash;

const WANTED: &str = "a journal of mt-aws-glacier";
/// Longer than any line: 1024 bytes each for an archive's ID and a description's worth of path, and the rest.
const LONGEST_LINE: usize = 1 << 20;

/// What a line says.
enum Line<'a> {
    Created { time: i64, id: &'a [u8], size: u64, mtime: Option<i64>, tree_hash: &'a [u8], path: &'a [u8] },
    Deleted { id: &'a [u8] },
    Other,
}

pub(super) fn read(mut journal: impl BufRead) -> Result<Import, Error> {
    let mut import = Import::default();
    // By archive: the number of the line, and what it says.
    let mut there: HashMap<Vec<u8>, (u64, Named, Vec<u8>)> = HashMap::new();
    let (mut number, mut understood, mut text) = (0u64, 0u64, Vec::new());
    loop {
        text.clear();
        if std::io::Read::take(&mut journal, LONGEST_LINE as u64).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        number += 1;
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let read = parse(line);
        understood += u64::from(read.is_some());
        if number == 100 && understood == 0 {
            break;
        }
        match read {
            None => import.unreadable(|| format!("line {number} is none of a journal")),
            Some(Line::Other) => {}
            Some(Line::Deleted { id }) => _ = there.remove(id),
            // The inventory of a vault that others filled names the archive by its own ID.
            Some(Line::Created { id, path, .. }) if id == path => import.nameless += 1,
            Some(Line::Created { time, id, size, mtime, tree_hash, path }) => match archive_id(id) {
                None => import.unreadable(|| format!("line {number}: the archive's ID is none")),
                Some(archive_id) => {
                    let tree_hash = std::str::from_utf8(tree_hash).ok().and_then(|hash| hash.parse::<TreeHash>().ok());
                    let created = Timestamp::from_second(time).ok();
                    let archive = match (tree_hash, created) {
                        (Some(tree_hash), Some(created)) if size > 0 => Some((size, tree_hash, created)),
                        _ => None,
                    };
                    let mtime = mtime.and_then(|mtime| Timestamp::from_second(mtime).ok());
                    let named = Named { vault: None, archive_id, paths: Vec::new(), mtime, archive };
                    there.insert(id.to_vec(), (number, named, path.to_vec()));
                }
            },
        }
    }
    if understood == 0 && number > 0 {
        return Err(Error::Other { wanted: WANTED, reason: "none of its lines is one of a journal".to_owned() });
    }
    let mut found: Vec<_> = there.into_values().collect();
    // The newest first.
    found.sort_unstable_by_key(|(number, named, _)| {
        std::cmp::Reverse((named.archive.map_or(0, |(_, _, created)| created.as_second()), *number))
    });
    for (number, named, path) in found {
        import.add(named, &path, || format!("line {number}"));
    }
    Ok(import)
}

fn parse(line: &[u8]) -> Option<Line<'_>> {
    let is_lettered = matches!(line, [b'A'..=b'C', b'\t', ..]);
    let separator = if is_lettered { b'\t' } else { b' ' };
    let line = if is_lettered { &line[2..] } else { line };
    let split = |most: usize| line.splitn(most, move |byte| *byte == separator);
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    let mut words = split(3);
    let time = number(words.next()?)?;
    match words.next()? {
        b"CREATED" if is_lettered => {
            let [_, _, id, size, mtime, tree_hash, path] = split(7).collect::<Vec<_>>()[..] else { return None };
            let mtime = if mtime == b"NONE" { None } else { Some(number(mtime)?) };
            let size = u64::try_from(number(size)?).ok()?;
            Some(Line::Created { time, id, size, mtime, tree_hash, path })
        }
        b"CREATED" => {
            let [_, _, id, size, tree_hash, path] = split(6).collect::<Vec<_>>()[..] else { return None };
            let size = u64::try_from(number(size)?).ok()?;
            Some(Line::Created { time, id, size, mtime: None, tree_hash, path })
        }
        b"DELETED" => {
            let id = split(4).nth(2).filter(|id| !id.is_empty())?;
            Some(Line::Deleted { id })
        }
        b"RETRIEVE_JOB" => Some(Line::Other),
        _ => None,
    }
}
