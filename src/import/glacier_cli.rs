//! glacier-cli keeps a cache of the archives of all vaults that it was used with, by default in
//! `~/.cache/glacier-cli/db`: table `archive` with `id`, `name`, `vault`, times, and a mark on what was deleted.

use rusqlite::Connection;

use super::Error;
use super::Import;
use super::Named;
use super::archive_id;
use super::bytes;
use super::columns;

const WANTED: &str = "the cache of glacier-cli";

pub(super) fn read(conn: &Connection) -> Result<Import, Error> {
    let found = columns(conn, WANTED, "archive", &["id", "name", "vault"])?;
    let has = |column: &str| found.iter().any(|name| name == column);
    let there = if has("deleted_here") { "WHERE deleted_here IS NULL" } else { "" };
    let order = if has("created_here") { "created_here DESC, " } else { "" };
    let mut statement = conn.prepare(&format!("SELECT id, name, vault FROM archive {there} ORDER BY {order}rowid"))?;
    let mut rows = statement.query([])?;
    let mut import = Import::default();
    let mut number = 0u64;
    while let Some(row) = rows.next()? {
        number += 1;
        let place = || format!("archive {number}");
        let (id, name, vault) = (bytes(row.get_ref(0)?), bytes(row.get_ref(1)?), bytes(row.get_ref(2)?));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            import.nameless += 1;
            continue;
        };
        match (id.and_then(archive_id), vault.and_then(|vault| std::str::from_utf8(vault).ok())) {
            (Some(archive_id), Some(vault)) => {
                let vault = Some(vault.to_owned());
                let named = Named { vault, archive_id, paths: Vec::new(), mtime: None, archive: None };
                import.add(named, name, place);
            }
            (None, _) => import.unreadable(|| format!("{}: its ID is none", place())),
            (_, None) => import.unreadable(|| format!("{}: its vault has no name", place())),
        }
    }
    import.gather();
    Ok(import)
}
