//! Synology Glacier Backup keeps names in a SQLite file, which is the only archive of a vault of its own, `NAME_mapping`
//! beside `NAME`. Equal files share one archive; a file's older versions have rows of their own.

use rusqlite::Connection;

use super::Error;
use super::Import;
use super::Named;
use super::archive_id;
use super::bytes;
use super::columns;

const WANTED: &str = "the mapping database of Synology Glacier Backup";

pub(super) fn read(conn: &Connection) -> Result<Import, Error> {
    let found = columns(conn, WANTED, "file_info_tb", &["shareName", "basePath", "archiveID"])?;
    // What is current comes first, then what was backed up last.
    let order: String = ["current", "lastBkpTime", "archiveVersion"]
        .into_iter()
        .filter(|column| found.iter().any(|name| name == column))
        .map(|column| format!("CAST({column} AS INTEGER) DESC, "))
        .collect();
    let sql = format!("SELECT shareName, basePath, archiveID FROM file_info_tb ORDER BY {order}rowid");
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut import = Import::default();
    let mut number = 0u64;
    while let Some(row) = rows.next()? {
        number += 1;
        let place = || format!("row {number}");
        let (share, base, id) = (bytes(row.get_ref(0)?), bytes(row.get_ref(1)?), bytes(row.get_ref(2)?));
        match (base, id) {
            // A directory, or a file that wasn't backed up.
            (_, None | Some([])) | (None | Some([]), _) => import.nameless += 1,
            (Some(base), Some(id)) => match archive_id(id) {
                None => import.unreadable(|| format!("{}: the archive's ID is none", place())),
                Some(archive_id) => {
                    let path = [share.unwrap_or_default(), b"/", base].concat();
                    // When it was backed up is told, but not when the file was changed.
                    let named = Named { vault: None, archive_id, paths: Vec::new(), mtime: None, archive: None };
                    import.add(named, &path, place);
                }
            },
        }
    }
    import.gather();
    Ok(import)
}
