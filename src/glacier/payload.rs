//! What an upload sends: bytes in memory or a range of a file, streamed in pieces with an exact length.
//!
//! A payload can be sent again and again, because each attempt opens it anew. A file is read on blocking threads, a piece
//! ahead of the network, so a part of 4 GiB takes half a megabyte of memory and no async thread waits for a disk. The
//! file mustn't change meanwhile; a sealed content doesn't.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http_body::{Frame, SizeHint};

use crate::glacier::treehash::{PayloadHash, PayloadHasher};

/// How much of a file is read at a time.
const READ: u64 = 256 << 10;
/// Up to how many bytes are hashed at once: that takes less time than to wake a thread for it.
const AT_ONCE: usize = 32 << 10;
/// How much is handed to the connection at a time: the grain of progress.
const SEND: usize = 64 << 10;

/// The bytes of an archive or a part. Cloning is cheap and shares them.
#[derive(Clone)]
pub struct Payload {
    source: Source,
    on_sent: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

#[derive(Clone, Debug)]
enum Source {
    Memory(Bytes),
    File { file: Arc<File>, offset: u64, len: u64 },
}

impl Payload {
    /// All of `bytes`.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Payload { source: Source::Memory(bytes.into()), on_sent: None }
    }

    /// The `len` bytes of `file` from `offset`, read by position: several payloads can share a file.
    pub fn file(file: Arc<File>, offset: u64, len: u64) -> Self {
        Payload { source: Source::File { file, offset, len }, on_sent: None }
    }

    /// Calls `on_sent` with the number of bytes each time some have been handed to the connection; bytes that an attempt
    /// sends again count again.
    pub fn on_sent(self, on_sent: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Payload { on_sent: Some(Arc::new(on_sent)), ..self }
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match &self.source {
            Source::Memory(bytes) => bytes.len() as u64,
            Source::File { len, .. } => *len,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Both hashes of the payload, computed on a blocking thread unless it is small.
    pub async fn hash(&self) -> io::Result<PayloadHash> {
        let source = self.source.clone();
        if let Source::Memory(bytes) = &source
            && bytes.len() <= AT_ONCE
        {
            let mut hasher = PayloadHasher::new();
            hasher.update(bytes);
            return Ok(hasher.finish());
        }
        let hashing = tokio::task::spawn_blocking(move || {
            let mut hasher = PayloadHasher::new();
            match source {
                Source::Memory(bytes) => hasher.update(&bytes),
                Source::File { file, offset, len } => {
                    let mut buffer = vec![0; READ.min(len) as usize];
                    for (offset, len) in pieces(offset, len) {
                        let piece = &mut buffer[..len];
                        file.read_exact_at(piece, offset)?;
                        hasher.update(piece);
                    }
                }
            }
            Ok(hasher.finish())
        });
        hashing.await.map_err(io::Error::other)?
    }

    /// All of it, as one attempt would send it, counted like one: for services that keep their archives in memory.
    pub async fn read(&self) -> io::Result<Bytes> {
        Ok(http_body_util::BodyExt::collect(self.body().0).await?.to_bytes())
    }

    fn pieces(&self) -> BoxStream<'static, io::Result<Bytes>> {
        match self.source.clone() {
            Source::Memory(bytes) => stream::iter([Ok(bytes)]).boxed(),
            Source::File { file, offset, len } => stream::iter(pieces(offset, len))
                .map(move |(offset, len)| read(file.clone(), offset, len))
                .buffered(2)
                .boxed(),
        }
    }

    /// A body of exactly [`Self::len`] bytes for one attempt, and a view of how it gets on.
    pub(super) fn body(&self) -> (Body, Arc<Progress>) {
        let progress = Arc::new(Progress { last: Mutex::new(Instant::now()), error: Mutex::new(None) });
        let body = Body {
            pieces: Mutex::new(self.pieces()),
            current: Bytes::new(),
            left: self.len(),
            on_sent: self.on_sent.clone(),
            progress: progress.clone(),
        };
        (body, progress)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Memory(bytes) => write!(f, "Payload({} bytes in memory)", bytes.len()),
            Source::File { offset, len, .. } => write!(f, "Payload({len} bytes of a file from {offset})"),
        }
    }
}

/// Offset and length of each piece of `len` bytes from `offset`.
fn pieces(offset: u64, len: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..len.div_ceil(READ)).map(move |i| (offset + i * READ, READ.min(len - i * READ) as usize))
}

async fn read(file: Arc<File>, offset: u64, len: usize) -> io::Result<Bytes> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; len];
        file.read_exact_at(&mut piece, offset)?;
        Ok(Bytes::from(piece))
    });
    reading.await.map_err(io::Error::other)?
}

/// How an attempt gets on: when it last handed bytes to the connection, and what kept it from reading more.
#[derive(Debug)]
pub(super) struct Progress {
    last: Mutex<Instant>,
    error: Mutex<Option<io::Error>>,
}

impl Progress {
    /// When bytes were last handed to the connection.
    pub(super) fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error of reading the payload, if that was what ended the attempt.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The body of one attempt.
pub(super) struct Body {
    /// Never locked: the mutex is there because the HTTP library wants bodies to be `Sync`.
    pieces: Mutex<BoxStream<'static, io::Result<Bytes>>>,
    current: Bytes,
    left: u64,
    on_sent: Option<Arc<dyn Fn(u64) + Send + Sync>>,
    progress: Arc<Progress>,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let body = &mut *self;
        while body.current.is_empty() {
            let pieces = body.pieces.get_mut().unwrap_or_else(PoisonError::into_inner);
            match ready!(pieces.try_poll_next_unpin(cx)) {
                Some(Ok(piece)) => body.current = piece,
                Some(Err(error)) => {
                    let kind = error.kind();
                    *body.progress.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return Poll::Ready(Some(Err(kind.into())));
                }
                None => return Poll::Ready(None),
            }
        }
        let piece = body.current.split_to(body.current.len().min(SEND));
        body.left -= piece.len() as u64;
        *body.progress.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if let Some(on_sent) = &body.on_sent {
            on_sent(piece.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicU64, Ordering};

    use http_body_util::BodyExt;

    use super::*;

    fn file(data: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(data).expect("writable");
        Arc::new(file)
    }

    /// Promise: a range of a file is sent as it is, with an exact length, in small pieces that are counted, and hashed
    /// like the same bytes in memory.
    #[tokio::test]
    async fn a_range_of_a_file() {
        let data: Vec<u8> = (0..3 * READ + 77).map(|i| (i % 251) as u8).collect();
        let sent = Arc::new(AtomicU64::new(0));
        for (offset, len) in [(0, data.len()), (5, 1), (READ as usize + 3, 2 * READ as usize), (9, 0)] {
            let expected = &data[offset..offset + len];
            let counter = sent.clone();
            let payload = Payload::file(file(&data), offset as u64, len as u64)
                .on_sent(move |bytes| _ = counter.fetch_add(bytes, Ordering::SeqCst));
            let (body, progress) = payload.body();
            assert_eq!(http_body::Body::size_hint(&body).exact(), Some(len as u64));
            assert_eq!(body.collect().await.expect("readable").to_bytes(), expected);
            assert_eq!(sent.swap(0, Ordering::SeqCst), len as u64);
            assert!(progress.take_error().is_none());
            let in_memory = Payload::bytes(expected.to_vec()).hash().await.expect("hashed");
            assert_eq!(payload.hash().await.expect("hashed"), in_memory);
        }
    }

    /// Promise: a file shorter than it should be ends the attempt with an error of its own, never a short body.
    #[tokio::test]
    async fn a_short_file_is_an_error() {
        let payload = Payload::file(file(b"short"), 0, 6);
        let (body, progress) = payload.body();
        body.collect().await.expect_err("too short");
        assert_eq!(progress.take_error().map(|error| error.kind()), Some(io::ErrorKind::UnexpectedEof));
        payload.hash().await.expect_err("too short");
    }
}
