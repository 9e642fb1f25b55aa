//! A file into an archive, in one request or in parts, confirmed by its tree hash.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use indicatif::ProgressBar;
use serde::Serialize;

use super::exit::Code;
use super::exit::Failure;
use super::output;
use super::service::perhaps_done;
use crate::glacier::client::Client;
use crate::glacier::client::MAX_PART;
use crate::glacier::client::Payload;
use crate::glacier::treehash::TreeHash;
use crate::glacier::treehash::combine;
use crate::service::Glacier;
use crate::service::MULTIPART;
use crate::service::USUAL_PART;
use crate::util::size;
use crate::util::size::MIB;

/// Parts sent at the same time.
const AT_ONCE: usize = 4;

/// What became of a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Put {
    /// The archive's ID.
    pub archive_id: String,
    /// Its size in bytes.
    size: u64,
    #[serde(rename = "SHA256TreeHash")]
    tree_hash: TreeHash,
}

/// Parses a flag's part size; the message names what is allowed.
pub fn part_size(text: &str) -> Result<u64, String> {
    let size = size::parse(text)?;
    match size.is_power_of_two() && (MIB..=MAX_PART).contains(&size) {
        true => Ok(size),
        false => Err(format!("{text:?} is not a part size: allowed is a power of two from 1M to 4G")),
    }
}

/// Archives the file at `path`; in parts of `part_size` when that is given and the file is larger.
pub async fn put(
    client: &Client,
    vault: &str,
    path: &Path,
    description: &str,
    part_size: Option<u64>,
) -> Result<Put, Failure> {
    let wrong = |reason: String| Failure::new(Code::Failed, format!("{}: {reason}", path.display()));
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
    let size = metadata.len();
    if !metadata.is_file() || size == 0 {
        let what = if metadata.is_file() { "it is empty" } else { "it isn't a file" };
        return Err(wrong(format!("{what}, and an archive is made of a file with at least 1 byte")));
    }
    let file = Arc::new(file);
    let bar = output::bytes_bar("sending");
    bar.set_length(size);
    let (archive_id, tree_hash) = if size < part_size.map_or(MULTIPART, |part_size| part_size + 1) {
        let payload = counted(Payload::file(file, 0, size), &bar);
        let hash = payload.hash().await.map_err(|error| wrong(error.to_string()))?;
        let id = client.upload_archive(vault, description, &payload, &hash).await;
        let id = id.map_err(|error| perhaps_done(error, "the vault's next inventory lists it then"))?;
        (id, hash.tree_hash)
    } else {
        let part_size = Glacier::LIMITS.part_size(size, part_size.unwrap_or(USUAL_PART));
        let part_size =
            part_size.ok_or_else(|| wrong(format!("its {size} bytes are more than an archive can have")))?;
        let upload = client.initiate_multipart_upload(vault, description, part_size).await?;
        let sent = parts(client, (vault, &upload), &file, size, part_size, &bar).await;
        match sent {
            Ok(sent) => sent,
            Err(failure) => {
                // The failure is what matters; an upload that can't be aborted vanishes by itself.
                let _ = client.abort_multipart_upload(vault, &upload).await;
                return Err(failure);
            }
        }
    };
    bar.finish_and_clear();
    Ok(Put { archive_id, size, tree_hash })
}

/// Sends a file's parts and completes the upload (vault and ID); the archive's ID and tree hash.
async fn parts(
    client: &Client,
    (vault, upload): (&str, &str),
    file: &Arc<File>,
    size: u64,
    part_size: u64,
    bar: &ProgressBar,
) -> Result<(String, TreeHash), Failure> {
    let offsets = (0..size.div_ceil(part_size)).map(|n| n * part_size);
    let parts = stream::iter(offsets).map(async |offset| {
        let payload = counted(Payload::file(file.clone(), offset, part_size.min(size - offset)), bar);
        let hash = payload.hash().await.map_err(|error| Failure::new(Code::Failed, error))?;
        client.upload_part(vault, upload, offset, &payload, &hash).await?;
        Ok::<_, Failure>(hash.tree_hash)
    });
    let root = combine(parts.buffered(AT_ONCE).try_collect::<Vec<_>>().await?);
    Ok((client.complete_multipart_upload(vault, upload, size, root).await?, root))
}

fn counted(payload: Payload, bar: &ProgressBar) -> Payload {
    let bar = bar.clone();
    payload.on_sent(move |bytes| bar.inc(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: part sizes are powers of two that the service takes, and others are refused with what is allowed.
    #[test]
    fn part_sizes() {
        assert_eq!(part_size("16M"), Ok(16 * MIB));
        assert_eq!(part_size("4G"), Ok(MAX_PART));
        for text in ["3M", "512K", "8G", "0"] {
            assert!(part_size(text).expect_err(text).contains("a power of two from 1M to 4G"), "{text}");
        }
        assert!(part_size("big").expect_err("no size").contains("is not a size"));
    }
}
