//! Job output: the bytes of an archive, of a range of it, or of an inventory document, whole or in ranges.
//!
//! Offsets count from the start of the job's output. The checksum header is given exactly where the bytes sent are a node
//! of the archive's tree, and comes from stored hashes; the data is read as fast as the client takes it, a chunk at a
//! time, however many pieces the archive has.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::access::Access;
use super::archives::range_hash;
use super::db::jobs::Task;
use super::db::{archives, objects};
use super::error::invalid;
use super::files::Files;
use super::jobs::job_in;
use super::reply::{Answer, Body, Reply};
use super::request::number;
use super::service::Service;
use crate::glacier::error::ServiceError;
use crate::glacier::treehash::{self, TreeHash};
use crate::glacier::wire::{InventoryFormat, InventoryJobParameters, header};

/// How many bytes are read and sent at a time.
const CHUNK: u64 = 256 << 10;

impl Service {
    /// 3.29.
    pub async fn get_job_output(&self, access: Access, job_id: String, headers: &HeaderMap) -> Answer {
        let now = self.now();
        let range = headers.get(RANGE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let output = self
            .read(move |connection| {
                let job = job_in(connection, &access, &job_id, now)?;
                if !job.has_output(now) {
                    return Err(ServiceError::job_not_available(&job_id));
                }
                Output::of(connection, job.task, range.as_deref())
            })
            .await?;
        let Output { content_type, description, total, range, tree_hash, extents } = output;
        let (first, last) = range.unwrap_or((0, total - 1));
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let mut reply = Reply::new(status, stream(self.files.clone(), extents))
            .with(CONTENT_TYPE.as_str(), content_type)?
            .with(CONTENT_LENGTH.as_str(), last - first + 1)?
            .with(ACCEPT_RANGES.as_str(), "bytes")?;
        if range.is_some() {
            reply = reply.with(CONTENT_RANGE.as_str(), format!("bytes {first}-{last}/{total}"))?;
        }
        if let Some(hash) = tree_hash {
            reply = reply.with(header::TREE_HASH, hash)?;
        }
        if let Some(description) = description {
            reply = reply.with(header::ARCHIVE_DESCRIPTION, description)?;
        }
        Ok(reply)
    }
}

/// What is to be sent.
struct Output {
    content_type: &'static str,
    description: Option<String>,
    /// The size in bytes of the job's output.
    total: u64,
    /// The bytes of it that were asked for, inclusive; `None` for all without being asked.
    range: Option<(u64, u64)>,
    /// The tree hash of the bytes sent, when they are tree-hash aligned.
    tree_hash: Option<TreeHash>,
    extents: Vec<Extent>,
}

/// Consecutive bytes of one object.
struct Extent {
    object: i64,
    offset: u64,
    length: u64,
    /// The bytes of the whole object, when they are in the database.
    data: Option<Bytes>,
}

impl Output {
    fn of(connection: &Connection, task: Task, range: Option<&str>) -> Result<Self, ServiceError> {
        match task {
            Task::Archive { archive, archive_description, archive_size, first, last, .. } => {
                let total = last - first + 1;
                let range = range.map_or(Ok(None), |range| requested(range, total))?;
                let (from, to) = range.map_or((first, last), |(from, to)| (first + from, first + to));
                // An aligned part of an aligned retrieval is aligned in the archive; of an unaligned retrieval, the
                // service gives no checksum at all.
                let aligned = treehash::is_aligned(archive_size, first, last);
                let tree_hash = match aligned {
                    true => range_hash(connection, archive, archive_size, from, to)?,
                    false => None,
                };
                let mut extents = Vec::new();
                for piece in archives::pieces(connection, archive, from, to)? {
                    let offset = from.saturating_sub(piece.first);
                    let end = (to + 1 - piece.first).min(piece.size);
                    extents.push(Extent::new(connection, piece.object, offset, end - offset)?);
                }
                let description = Some(archive_description).filter(|text| !text.is_empty());
                let content_type = "application/octet-stream";
                Ok(Output { content_type, description, total, range, tree_hash, extents })
            }
            Task::Inventory { parameters, output, size, .. } => {
                let range = range.map_or(Ok(None), |range| requested(range, size))?;
                let (from, to) = range.unwrap_or((0, size - 1));
                let parameters: InventoryJobParameters = serde_json::from_str(&parameters).unwrap_or_default();
                let csv = parameters.format == Some(InventoryFormat::Csv);
                Ok(Output {
                    content_type: if csv { "text/csv" } else { "application/json" },
                    description: None,
                    total: size,
                    range,
                    tree_hash: None,
                    extents: vec![Extent::new(connection, output, from, to - from + 1)?],
                })
            }
        }
    }
}

impl Extent {
    fn new(connection: &Connection, object: i64, offset: u64, length: u64) -> rusqlite::Result<Self> {
        let data = objects::data(connection, object)?.map(Bytes::from);
        Ok(Extent { object, offset, length, data })
    }
}

/// The bytes, inclusive, that a `Range` header asks for of `total`: `bytes={first}-{last}`, cut at the end of the data,
/// `bytes={first}-`, or `bytes=-{count}`. `None` when it is none of these and is to be ignored; an error when it starts
/// behind the end.
pub(super) fn requested(sent: &str, total: u64) -> Result<Option<(u64, u64)>, ServiceError> {
    let parse = || {
        let (first, last) = sent.trim().strip_prefix("bytes=")?.split_once('-')?;
        match (first, last) {
            ("", last) => offset(last).filter(|count| *count > 0).map(|count| (total.saturating_sub(count), total - 1)),
            (first, "") => offset(first).map(|first| (first, u64::MAX)),
            (first, last) => offset(first).zip(offset(last)).filter(|(first, last)| first <= last),
        }
    };
    let Some((first, last)) = parse() else { return Ok(None) };
    if first >= total {
        let message = format!("The start of the range is larger than size of retrieved data: {sent}");
        return Err(invalid(message));
    }
    Ok(Some((first, last.min(total - 1))))
}

/// A number of a range: any digits. One that no integer holds is behind every end all the same.
fn offset(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| number(text).unwrap_or(u64::MAX))
}

/// A body of the bytes of `extents`.
fn stream(files: Files, extents: Vec<Extent>) -> Body {
    let reader = Reader { files, extents: extents.into_iter(), current: None };
    let frames = stream::try_unfold(reader, |mut reader| async move {
        Ok(reader.next().await?.map(|data| (Frame::data(data), reader)))
    });
    StreamBody::new(frames).boxed_unsync()
}

struct Reader {
    files: Files,
    extents: std::vec::IntoIter<Extent>,
    /// The file that is being read, and what of it is left.
    current: Option<(Arc<File>, Extent)>,
}

impl Reader {
    /// The next chunk, `None` at the end.
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let (file, mut extent) = match self.current.take() {
            Some(current) => current,
            None => {
                let Some(extent) = self.extents.next() else { return Ok(None) };
                if let Some(data) = extent.data {
                    // Objects in the database are small, and their offsets fit.
                    return Ok(Some(data.slice(extent.offset as usize..(extent.offset + extent.length) as usize)));
                }
                let (files, object) = (self.files.clone(), extent.object);
                (Arc::new(spawn_blocking(move || files.read(object)).await??), extent)
            }
        };
        let length = extent.length.min(CHUNK);
        let (reading, offset) = (Arc::clone(&file), extent.offset);
        let chunk = spawn_blocking(move || {
            let mut chunk = vec![0; length as usize];
            reading.read_exact_at(&mut chunk, offset)?;
            Ok::<_, std::io::Error>(chunk)
        })
        .await??;
        extent.offset += length;
        extent.length -= length;
        if extent.length > 0 {
            self.current = Some((file, extent));
        }
        Ok(Some(chunk.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: ranges are cut at the end, malformed ones ignored, and a start behind the end is a 400 that quotes it.
    #[test]
    fn range_headers() {
        for (sent, range) in [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=2-99", Some((2, 9))),
            ("bytes=9-", Some((9, 9))),
            ("bytes=-4", Some((6, 9))),
            ("bytes=-99", Some((0, 9))),
            ("bytes=0-18446744073709551615", Some((0, 9))),
            ("bytes=3-99999999999999999999", Some((3, 9))),
            ("bytes=-99999999999999999999", Some((0, 9))),
            ("bytes 0-3/10", None),
            ("0-3/10", None),
            ("bytes=3-2", None),
            ("bytes=-0", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("items=0-1", None),
        ] {
            assert_eq!(requested(sent, 10).ok(), Some(range), "{sent}");
        }
        for sent in ["bytes=10-", "bytes=10-12", "bytes=99999999999999999999-"] {
            let error = requested(sent, 10).expect_err(sent);
            assert_eq!(error.status, 400);
            assert!(error.message.ends_with(&format!("size of retrieved data: {sent}")), "{error}");
        }
    }
}
