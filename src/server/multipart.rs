//! Multipart uploads: parts in any order and in parallel, each a file of its own, which completing makes into an archive
//! without copying a byte.
//!
//! An upload lives for 24 hours after the last request about it. One that is completed or aborted is remembered as long,
//! so that a client that lost the answer can ask again.

use http::{HeaderMap, StatusCode, header::CONTENT_RANGE};
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::access::{Access, vault_at};
use super::archives::{UPLOAD, content_length, location};
use super::db::archives::{self, NewArchive};
use super::db::uploads::{self, Part, State, Upload};
use super::db::vaults::Vault;
use super::error::invalid;
use super::reply::{Answer, Reply};
use super::request::{Query, cut, description, marker, number, required, text, tree_hash};
use super::service::Service;
use super::{ids, inventory, vaults};
use crate::glacier::error::ServiceError;
use crate::glacier::treehash::{self, TreeHash};
use crate::glacier::wire::{Date, PartListElement, PartPage, UploadListElement, UploadPage, header};
use crate::util::size::MIB;

/// How long an upload lives after the last request about it.
pub(super) const IDLE: SignedDuration = SignedDuration::from_hours(24);
/// The most parts of an upload.
const PARTS: u64 = 10_000;
/// The most uploads or parts on a page.
const PAGE: usize = 50;

impl Service {
    /// 3.20.
    pub async fn initiate_multipart_upload(&self, access: Access, headers: &HeaderMap) -> Answer {
        let part_size = part_size(headers)?;
        let description = description(headers)?.map(|sent| sent.trim_start_matches(' ').to_owned());
        let now = self.now();
        let upload_id = ids::upload(now);
        let location = format!("{}/multipart-uploads/{upload_id}", vaults::location(&access.address));
        let id = upload_id.clone();
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            Ok(uploads::insert(tx, &id, vault.id, description.as_deref(), part_size, now)?)
        })
        .await?;
        Reply::empty(StatusCode::CREATED).at(location)?.with(header::UPLOAD_ID, upload_id)
    }

    /// 3.21. Oldest first.
    pub async fn list_multipart_uploads(&self, access: Access, query: &Query<'_>) -> Answer {
        let (limit, after) = (query.limit(PAGE)?, row(query.marker()?));
        let (since, vault_arn) = (self.now() - IDLE, access.address.to_string());
        let mut found = self
            .read(move |connection| {
                let vault = vault_at(connection, &access)?;
                Ok(uploads::page(connection, vault.id, since, after, limit + 1)?)
            })
            .await?;
        let marker = cut(&mut found, limit).map(|last| marker(last.id.unsigned_abs()));
        let uploads_list = found
            .into_iter()
            .map(|upload| UploadListElement {
                archive_description: upload.description,
                creation_date: Date(upload.created),
                multipart_upload_id: upload.upload_id,
                part_size_in_bytes: upload.part_size,
                vault_arn: vault_arn.clone(),
            })
            .collect();
        Reply::json(&UploadPage { marker, uploads_list })
    }

    /// 3.22. A part that fails a check leaves the one that was there.
    pub async fn upload_part(
        &self,
        access: Access,
        upload_id: String,
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Answer {
        let (expected, sent) = tree_hash(headers)?;
        let range = required(headers, CONTENT_RANGE.as_str())
            .map_err(|_| ServiceError::missing_parameter("Content-Range"))?
            .to_owned();
        let bad_range = || invalid(format!("Invalid Content-Range: {range}"));
        let (first, last) = content_range(&range).filter(|(first, last)| first <= last).ok_or_else(bad_range)?;
        let length = content_length(headers)?;
        // Compared this way round because `last + 1` could overflow.
        if length == 0 || last - first != length - 1 {
            return Err(invalid(format!("Content-Range: {range} is incompatible with Content-Length: {length}")));
        }
        let now = self.now();
        {
            let (access, upload_id) = (access.clone(), upload_id.clone());
            self.write(move |tx| {
                let (_, upload) = open_upload(tx, &access, &upload_id, now)?;
                check_place(&upload, first, length, &range)?;
                Ok(uploads::touch(tx, upload.id, now)?)
            })
            .await?;
        }
        let object = self.receive(headers, body, length, expected, sent).await?;
        let hash = object.hash.tree_hash;
        let now = self.now();
        self.write(move |tx| {
            let (_, upload) = open_upload(tx, &access, &upload_id, now)?;
            uploads::touch(tx, upload.id, now)?;
            uploads::put_part(tx, upload.id, first, object.number)?;
            Ok(object.insert(tx)?)
        })
        .await?;
        Reply::empty(StatusCode::NO_CONTENT).with(header::TREE_HASH, hash)
    }

    /// 3.23. By range. The marker is where the next part begins.
    pub async fn list_parts(&self, access: Access, upload_id: String, query: &Query<'_>) -> Answer {
        let (limit, from) = (query.limit(PAGE)?, query.marker()?);
        let (now, vault_arn) = (self.now(), access.address.to_string());
        let (upload, mut parts) = self
            .write(move |tx| {
                let (_, upload) = open_upload(tx, &access, &upload_id, now)?;
                uploads::touch(tx, upload.id, now)?;
                let parts = uploads::parts(tx, upload.id, from, limit + 1)?;
                Ok((upload, parts))
            })
            .await?;
        let marker = cut(&mut parts, limit).map(|last| marker(last.first + 1));
        let element = |part: &Part| PartListElement {
            range_in_bytes: format!("{}-{}", part.first, part.first + part.size - 1),
            tree_hash: part.tree_hash,
        };
        Reply::json(&PartPage {
            archive_description: upload.description,
            creation_date: Date(upload.created),
            marker,
            multipart_upload_id: upload.upload_id,
            part_size_in_bytes: upload.part_size,
            parts: parts.iter().map(element).collect(),
            vault_arn,
        })
    }

    /// 3.24. What is wrong leaves the upload open; a repetition gets the same archive.
    pub async fn complete_multipart_upload(&self, access: Access, upload_id: String, headers: &HeaderMap) -> Answer {
        let (expected, sent) = tree_hash(headers)?;
        let sent = sent.to_owned();
        let size = required(headers, header::ARCHIVE_SIZE)?;
        let size = number(size).ok_or_else(|| invalid(format!("Invalid {}: {size}", header::ARCHIVE_SIZE)))?;
        let (now, interval) = (self.now(), self.inventory_interval);
        let new_id = ids::archive(now);
        let at = access.address.clone();
        let (archive_id, hash) = self
            .write(move |tx| {
                let (vault, upload) = known_upload(tx, &access, &upload_id, now)?;
                uploads::touch(tx, upload.id, now)?;
                match upload.state {
                    State::Aborted => return Err(ServiceError::upload_not_found(&upload_id)),
                    State::Completed(archive) => {
                        let archive = archives::get(tx, archive)?;
                        check_whole(&sent, expected, size, archive.tree_hash, archive.size)?;
                        return Ok((archive.archive_id, archive.tree_hash));
                    }
                    State::Open => {}
                }
                let parts = uploads::parts(tx, upload.id, 0, PARTS as usize)?;
                let (hash, total) = assemble(&parts, upload.part_size)?;
                check_whole(&sent, expected, size, hash, total)?;
                let new = NewArchive {
                    archive_id: &new_id,
                    vault: vault.id,
                    description: upload.description.as_deref().unwrap_or_default(),
                    created: now,
                    size,
                    tree_hash: hash,
                    listed_from: inventory::record_write(tx, vault.clone(), now, interval, |holds| {
                        holds.archives += 1;
                        holds.bytes += size;
                    })?,
                };
                let archive = archives::insert(tx, &new)?;
                uploads::complete(tx, upload.id, archive)?;
                Ok((new_id, hash))
            })
            .await?;
        Reply::empty(StatusCode::CREATED)
            .at(location(&at, &archive_id))?
            .with(header::ARCHIVE_ID, archive_id)?
            .with(header::TREE_HASH, hash)
    }

    /// 3.25. May be repeated; 404 for a completed upload.
    pub async fn abort_multipart_upload(&self, access: Access, upload_id: String) -> Answer {
        let now = self.now();
        self.write(move |tx| {
            let (_, upload) = known_upload(tx, &access, &upload_id, now)?;
            match upload.state {
                State::Open => uploads::abort(tx, upload.id)?,
                State::Aborted => {}
                State::Completed(_) => return Err(ServiceError::upload_not_found(&upload_id)),
            }
            Ok(uploads::touch(tx, upload.id, now)?)
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// The row that a marker stands for; markers are checked to fit.
pub(super) fn row(marker: u64) -> i64 {
    i64::try_from(marker).unwrap_or(i64::MAX)
}

/// The part size that an upload is initiated with.
pub(super) fn part_size(headers: &HeaderMap) -> Result<u64, ServiceError> {
    let sent = text(headers, header::PART_SIZE)?.unwrap_or("null");
    number(sent).filter(|size| size.is_power_of_two() && (MIB..=UPLOAD).contains(size)).ok_or_else(|| {
        invalid(format!(
            "Invalid part size: {sent}. Part size must not be null, must be a power of two and be between {MIB} and \
             {UPLOAD} bytes."
        ))
    })
}

/// The first and last byte of `bytes {first}-{last}/*`; a number in the place of the `*` is allowed too.
pub(super) fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    if total.trim() != "*" {
        number(total.trim())?;
    }
    Some((number(first.trim())?, number(last.trim())?))
}

/// Checks that a part of `length` bytes may begin at `first`. A part that is too short is found when the upload is
/// completed, because any part may turn out to be the last.
fn check_place(upload: &Upload, first: u64, length: u64, range: &str) -> Result<(), ServiceError> {
    let part_size = upload.part_size;
    if !first.is_multiple_of(part_size) || length > part_size {
        return Err(invalid(format!(
            "Invalid Content-Range: {range}. A part must begin at a multiple of the part size of {part_size} bytes, and \
             not be larger."
        )));
    }
    let number = first / part_size + 1;
    if number > PARTS {
        return Err(invalid(format!(
            "This is part number {number} for the current multipart upload. It exceeds the limit of {PARTS} parts."
        )));
    }
    Ok(())
}

/// The tree hash and size of what `parts`, in order, make up. An error when one is missing, or short and not the last.
fn assemble(parts: &[Part], part_size: u64) -> Result<(TreeHash, u64), ServiceError> {
    if parts.is_empty() {
        return Err(invalid("The multipart upload has no parts."));
    }
    let mut total = 0;
    for part in parts {
        if part.first != total {
            return Err(invalid(format!(
                "The parts of the multipart upload do not make up an archive: bytes {total}-{} are missing.",
                part.first - 1
            )));
        }
        total += part.size;
        // A short part leaves a gap before the next one, which begins at a multiple of the part size.
        debug_assert!(part.size <= part_size);
    }
    Ok((treehash::combine(parts.iter().map(|part| part.tree_hash)), total))
}

/// Checks what a client says of the whole archive.
fn check_whole(sent: &str, expected: TreeHash, size: u64, hash: TreeHash, total: u64) -> Result<(), ServiceError> {
    if size != total {
        return Err(invalid(format!(
            "Invalid {}: {size}. The parts of the multipart upload add up to {total} bytes.",
            header::ARCHIVE_SIZE
        )));
    }
    if expected != hash {
        return Err(ServiceError::invalid_tree_hash(sent));
    }
    Ok(())
}

/// The upload with an ID, if it is of this vault and hasn't been forgotten: open, aborted or completed.
fn known_upload(
    connection: &Connection,
    access: &Access,
    upload_id: &str,
    now: Timestamp,
) -> Result<(Vault, Upload), ServiceError> {
    let vault = vault_at(connection, access)?;
    let upload = uploads::find(connection, upload_id)?;
    let upload = upload.filter(|upload| upload.vault == vault.id && now.duration_since(upload.active) < IDLE);
    upload.map(|upload| (vault, upload)).ok_or_else(|| ServiceError::upload_not_found(upload_id))
}

/// The upload with an ID, which must be open.
fn open_upload(
    connection: &Connection,
    access: &Access,
    upload_id: &str,
    now: Timestamp,
) -> Result<(Vault, Upload), ServiceError> {
    let found = known_upload(connection, access, upload_id, now)?;
    match found.1.state {
        State::Open => Ok(found),
        State::Aborted | State::Completed(_) => Err(ServiceError::upload_not_found(upload_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: ranges of parts are read as RFC 2616 writes them, with any total; nonsense is refused.
    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-4194303/*"), Some((0, 4_194_303)));
        assert_eq!(content_range("bytes 5-5/123"), Some((5, 5)));
        for bad in ["", "0-1/*", "bytes 0-1", "bytes=0-1/*x", "bytes -1/*", "bytes 1-/*", "bytes a-b/*", "bytes 0-1/"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
