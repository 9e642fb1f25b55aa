//! Inventories: when one is taken, what it knows, and the document that an inventory job retrieves.
//!
//! A vault's inventory is taken one interval after the first write that the last one doesn't know of; an unchanged vault
//! keeps the one it has. No timer takes it. While nothing is written, what it will hold is what the vault holds, so
//! whoever asks after the time sees it taken ([`Vault::last_inventory`]), and the next write records it first
//! ([`record_write`]). Inventories are numbered, and each archive's row says which of them list it, so an inventory
//! costs nothing until a job writes it down.

use std::io::{BufWriter, IntoInnerError, Write};

use jiff::Timestamp;
use rusqlite::Connection;

use super::db::Tx;
use super::db::archives::{self, Archive};
use super::db::vaults::{self, Contents, Taken, Vault, VaultAddress};
use super::error::invalid;
use super::files::Files;
use super::object::{NewObject, ObjectWriter};
use super::request::{marker, number, parse_marker};
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::inventory::{CSV_HEADER, InventoryArchive, InventoryDate, csv_line};
use crate::glacier::wire::{self, InventoryFormat, InventoryJobParameters};
use crate::util::clock;

impl Vault {
    /// Whether something was written that no inventory taken by `now` knows of.
    pub fn is_unseen(&self, now: Timestamp) -> bool {
        self.inventory_due.is_some_and(|due| due > now)
    }

    /// The last inventory taken by `now`.
    pub fn last_inventory(&self, now: Timestamp) -> Taken {
        match self.inventory_due {
            Some(due) if due <= now => {
                Taken { number: self.inventory.number + 1, date: Some(due), contents: self.holds }
            }
            _ => self.inventory,
        }
    }
}

/// Records that `vault` is written to and holds `change` of what it did; takes the inventory that is due before. Answers
/// the number of the first inventory that will know of the write.
pub(super) fn record_write(
    tx: &Tx<'_>,
    mut vault: Vault,
    now: Timestamp,
    interval: std::time::Duration,
    change: impl FnOnce(&mut Contents),
) -> rusqlite::Result<i64> {
    if !vault.is_unseen(now) {
        vault.inventory = vault.last_inventory(now);
        vault.inventory_due = Some(clock::add(now, interval));
    }
    change(&mut vault.holds);
    vaults::update(tx, &vault)?;
    Ok(vault.inventory.number + 1)
}

/// Takes the inventory of `vault` at `now`, out of turn, and answers the vault as it is then.
pub(super) fn take(tx: &Tx<'_>, mut vault: Vault, now: Timestamp) -> rusqlite::Result<Vault> {
    let last = vault.last_inventory(now);
    vault.inventory = Taken { number: last.number + 1, date: Some(now), contents: vault.holds };
    vault.inventory_due = None;
    vaults::update(tx, &vault)?;
    Ok(vault)
}

/// What an inventory job asks for, checked.
#[derive(Debug)]
pub(super) struct Selection {
    pub format: InventoryFormat,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    limit: Option<u64>,
    /// The row of the archive after which it goes on.
    after: i64,
}

impl Selection {
    /// Checks the parameters of a request.
    pub fn check(parameters: &InventoryJobParameters) -> Result<Self, ServiceError> {
        let date = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => wire::parse_date(text).map(Some).ok_or_else(|| {
                invalid(format!("Invalid {name}: {text}. Allowed are dates such as 2013-03-20T17:03:43Z."))
            }),
        };
        let format = parameters.format.clone().unwrap_or(InventoryFormat::Json);
        if !format.is_known() {
            return Err(invalid(format!("Invalid Format: {format}. Allowed are CSV and JSON.")));
        }
        let limit = match &parameters.limit {
            None => None,
            Some(text) => match number(text) {
                Some(limit) if limit >= 1 => Some(limit),
                _ => return Err(invalid(format!("Invalid Limit: {text}. Allowed are whole numbers from 1."))),
            },
        };
        let after = parameters.marker.as_deref().filter(|sent| !sent.is_empty()).map_or(Ok(0), parse_marker)?;
        Ok(Selection {
            format,
            start: date("StartDate", &parameters.start_date)?,
            end: date("EndDate", &parameters.end_date)?,
            limit,
            // Markers are checked to fit.
            after: i64::try_from(after).unwrap_or(i64::MAX),
        })
    }

    fn wants(&self, archive: &Archive) -> bool {
        self.start.is_none_or(|start| start <= archive.created) && self.end.is_none_or(|end| archive.created < end)
    }
}

/// Writes down what `selection` wants of the last inventory of `vault`: an object on stable storage, and the marker that
/// continues it if something is left. 404 when there is no inventory yet. Blocks.
pub(super) fn write_document(
    connection: &Connection,
    files: &Files,
    address: &VaultAddress,
    vault: &Vault,
    selection: &Selection,
    now: Timestamp,
) -> Result<(NewObject, Option<String>), ServiceError> {
    let taken = vault.last_inventory(now);
    let Some(date) = taken.date else {
        let message = format!("No inventory has been generated yet for vault: {address}");
        return Err(ServiceError::new(ErrorCode::ResourceNotFound, message));
    };
    let json = selection.format != InventoryFormat::Csv;
    // An entry is written in many small pieces.
    let mut document = BufWriter::with_capacity(64 << 10, ObjectWriter::new(files));
    if json {
        let date = InventoryDate(date);
        write!(document, r#"{{"VaultARN":"{address}","InventoryDate":"{date}","ArchiveList":["#)?;
    } else {
        writeln!(document, "{CSV_HEADER}")?;
    }
    let (mut listed, mut last, mut more) = (0, 0, false);
    archives::for_each_listed(connection, vault.id, taken.number, selection.after, |archive| {
        if !selection.wants(&archive) {
            return Ok(true);
        }
        if selection.limit == Some(listed) {
            more = true;
            return Ok(false);
        }
        last = archive.id;
        let entry = InventoryArchive {
            archive_id: archive.archive_id,
            description: archive.description,
            created: InventoryDate(archive.created),
            size: archive.size,
            tree_hash: archive.tree_hash,
        };
        if !json {
            document.write_all(csv_line(&entry).as_bytes())?;
        } else {
            if listed > 0 {
                document.write_all(b",")?;
            }
            serde_json::to_writer(&mut document, &entry).map_err(std::io::Error::from)?;
        }
        listed += 1;
        Ok::<_, ServiceError>(true)
    })?;
    if json {
        document.write_all(b"]}")?;
    }
    // Rows are numbered from 1 upwards.
    let next = more.then(|| marker(last.unsigned_abs()));
    let document = document.into_inner().map_err(IntoInnerError::into_error)?;
    Ok((document.finish()?.sync_blocking()?, next))
}
