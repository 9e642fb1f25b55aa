//! Request bodies. Uploads stream to disk while both hashes are computed in the same pass; everything else is small.
//!
//! A large upload is hashed and written a batch of frames at a time on a blocking thread, while the next batch arrives.
//! Between batches it holds no thread, so any number of slow clients can upload at once.

use std::io::{self, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::task::{JoinHandle, spawn_blocking};

use super::error::bad_request;
use super::files::Files;
use super::object::{NewObject, ObjectWriter};
use crate::glacier::error::{ErrorCode, ServiceError};

/// How many bytes of an upload are hashed and written at a time.
const BATCH: usize = 1 << 20;
/// The most bytes of a body that isn't an archive or a part.
const SMALL: usize = 1 << 20;

/// The next bytes of a body, `None` at its end; an error when none come within `patience`.
async fn next(body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, ServiceError> {
    loop {
        let frame = tokio::time::timeout(patience, body.frame())
            .await
            .map_err(|_| ServiceError::new(ErrorCode::RequestTimeout, "Request timed out."))?;
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                // Trailers say nothing that the service knows.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => return Err(bad_request(format!("The request body ended early: {error}"))),
        }
    }
}

/// Reads a body of up to 1 MiB into memory.
pub(super) async fn read_small(body: &mut Incoming, patience: Duration) -> Result<Bytes, ServiceError> {
    let mut all = BytesMut::new();
    while let Some(data) = next(body, patience).await? {
        if all.len() + data.len() > SMALL {
            return Err(bad_request(format!("The request body is larger than {SMALL} bytes.")));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// Reads and forgets what is left of a body, so that a client that is still sending gets to read the answer.
pub(super) async fn drain(body: &mut Incoming, patience: Duration) {
    while !body.is_end_stream() && matches!(next(body, patience).await, Ok(Some(_))) {}
}

/// Reads the body of an upload of `length` bytes into a new object, which is not on stable storage yet.
pub(super) async fn receive(
    files: &Files,
    body: &mut Incoming,
    length: u64,
    patience: Duration,
) -> Result<NewObject, ServiceError> {
    let mut writer = ObjectWriter::new(files);
    if writer.fits_in_memory(length) {
        while let Some(data) = next(body, patience).await? {
            writer.write_all(&data)?;
        }
        return Ok(writer.finish()?);
    }

    let mut state = State::Idle(Box::new(writer));
    let (mut batch, mut size) = (Vec::new(), 0);
    loop {
        let data = next(body, patience).await?;
        let last = data.is_none();
        if let Some(data) = data {
            size += data.len();
            batch.push(data);
        }
        if last || size >= BATCH {
            let mut writer = state.writer().await?;
            if last {
                return spawn_blocking(move || {
                    write(&mut writer, &batch)?;
                    Ok(writer.finish()?)
                })
                .await?;
            }
            let batch = std::mem::take(&mut batch);
            size = 0;
            state = State::Writing(spawn_blocking(move || write(&mut writer, &batch).map(|()| writer)));
        }
    }
}

enum State {
    Idle(Box<ObjectWriter>),
    Writing(JoinHandle<io::Result<Box<ObjectWriter>>>),
}

impl State {
    /// The writer, once it has written what it was given.
    async fn writer(self) -> io::Result<Box<ObjectWriter>> {
        match self {
            State::Idle(writer) => Ok(writer),
            State::Writing(task) => task.await?,
        }
    }
}

fn write(writer: &mut ObjectWriter, batch: &[Bytes]) -> io::Result<()> {
    batch.iter().try_for_each(|data| writer.write_all(data))
}
