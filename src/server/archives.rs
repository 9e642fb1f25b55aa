//! Archives: upload in one request, delete; and the tree hash of a range of one.

use http::{HeaderMap, StatusCode, header::CONTENT_LENGTH, header::TRANSFER_ENCODING};
use hyper::body::Incoming;
use rusqlite::Connection;

use super::access::{Access, archive_at, vault_at};
use super::body;
use super::db::archives::{self, NewArchive};
use super::db::vaults::VaultAddress;
use super::db::{jobs, objects};
use super::error::invalid;
use super::files::INLINE;
use super::object::NewObject;
use super::reply::{Answer, Reply};
use super::request::{description, number, required, text, tree_hash};
use super::service::Service;
use super::{ids, inventory, vaults};
use crate::glacier::error::ServiceError;
use crate::glacier::treehash::{self, LEAF, TreeHash};
use crate::glacier::wire::header;
use crate::util::size::GIB;

/// The most bytes of one upload or part.
pub(super) const UPLOAD: u64 = 4 * GIB;

impl Service {
    /// 3.19.
    pub async fn upload_archive(&self, access: Access, headers: &HeaderMap, body: &mut Incoming) -> Answer {
        let (expected, sent) = tree_hash(headers)?;
        let description = description(headers)?.unwrap_or_default().to_owned();
        let length = content_length(headers)?;
        if !(1..=UPLOAD).contains(&length) {
            return Err(invalid(format!("Invalid Content-Length: {length}")));
        }
        if length > INLINE {
            // Before gigabytes are sent in vain. For the rest, the change itself looks.
            let access = access.clone();
            self.read(move |connection| vault_at(connection, &access).map(drop)).await?;
        }
        let object = self.receive(headers, body, length, expected, sent).await?;
        let hash = object.hash.tree_hash;

        let (now, interval) = (self.now(), self.inventory_interval);
        let archive_id = ids::archive(now);
        let location = location(&access.address, &archive_id);
        let id = archive_id.clone();
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            let new = NewArchive {
                archive_id: &id,
                vault: vault.id,
                description: &description,
                created: now,
                size: length,
                tree_hash: hash,
                listed_from: inventory::record_write(tx, vault, now, interval, |holds| {
                    holds.archives += 1;
                    holds.bytes += length;
                })?,
            };
            let archive = archives::insert(tx, &new)?;
            archives::insert_piece(tx, archive, 0, object.number)?;
            Ok(object.insert(tx)?)
        })
        .await?;
        Reply::empty(StatusCode::CREATED)
            .at(location)?
            .with(header::ARCHIVE_ID, archive_id)?
            .with(header::TREE_HASH, hash)
    }

    /// Receives the body of an upload, checks it against both hashes that were sent, and puts it on stable storage.
    pub(super) async fn receive(
        &self,
        headers: &HeaderMap,
        body: &mut Incoming,
        length: u64,
        expected: TreeHash,
        sent: &str,
    ) -> Result<NewObject, ServiceError> {
        self.files.check_room(length)?;
        let object = body::receive(&self.files, body, length, self.body_timeout).await?;
        let (sha256, computed) = (required(headers, header::CONTENT_SHA256)?, hex::encode(object.hash.sha256));
        if !sha256.eq_ignore_ascii_case(&computed) {
            return Err(ServiceError::payload_hash_mismatch(sha256, &computed));
        }
        if object.hash.tree_hash != expected {
            return Err(ServiceError::checksum_mismatch(sent, object.hash.tree_hash));
        }
        Ok(object.sync().await?)
    }

    /// 3.18. The archive is gone at once for new jobs, and from the next inventory. A job over it that is in progress
    /// fails; one that has succeeded keeps the bytes until it expires.
    pub async fn delete_archive(&self, access: Access, archive_id: String) -> Answer {
        let (now, interval) = (self.now(), self.inventory_interval);
        let failed = self
            .write(move |tx| {
                let (vault, archive) = archive_at(tx, &access, &archive_id)?;
                if archive.deleted {
                    return Ok(false);
                }
                let next = inventory::record_write(tx, vault, now, interval, |holds| {
                    holds.archives = holds.archives.saturating_sub(1);
                    holds.bytes = holds.bytes.saturating_sub(archive.size);
                })?;
                archives::mark_deleted(tx, archive.id, next)?;
                let failed = jobs::fail(tx, archive.id, now, "The archive was deleted before the job completed.")?;
                if !jobs::retrieve(tx, archive.id)? {
                    archives::free_bytes(tx, archive.id)?;
                }
                Ok(failed)
            })
            .await?;
        if failed {
            self.jobs_changed.notify_one();
        }
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// The length of an upload's body, which must be told: a body in chunks is refused. (Without either header there is none.)
pub(super) fn content_length(headers: &HeaderMap) -> Result<u64, ServiceError> {
    match text(headers, CONTENT_LENGTH.as_str())? {
        Some(sent) => number(sent).ok_or_else(|| invalid(format!("Invalid Content-Length: {sent}"))),
        None if headers.contains_key(TRANSFER_ENCODING) => Err(ServiceError::missing_parameter("Content-Length")),
        None => Ok(0),
    }
}

/// The path of an archive.
pub(super) fn location(address: &VaultAddress, archive_id: &str) -> String {
    format!("{}/archives/{archive_id}", vaults::location(address))
}

/// The tree hash of the bytes `first..=last` of the archive in row `archive`, which has `size` bytes; `None` unless they
/// are tree-hash aligned.
///
/// It comes from stored hashes alone. All pieces but the last have the same power-of-two number of MiB, so an aligned
/// range either lies in one piece or consists of whole pieces.
pub(super) fn range_hash(
    connection: &Connection,
    archive: i64,
    size: u64,
    first: u64,
    last: u64,
) -> rusqlite::Result<Option<TreeHash>> {
    if !treehash::is_aligned(size, first, last) {
        return Ok(None);
    }
    let pieces = archives::pieces(connection, archive, first, last)?;
    let [piece] = &pieces[..] else {
        return Ok(Some(treehash::combine(pieces.iter().map(|piece| piece.tree_hash))));
    };
    let leaves = objects::leaves(connection, piece.object)?;
    let wanted = leaves.iter().skip(((first - piece.first) / LEAF) as usize).take(((last - first) / LEAF + 1) as usize);
    Ok(Some(treehash::combine(wanted.copied())))
}
