//! The tables, and how those of an older release become those of this one.
//!
//! `user_version` carries the version. Each one is a step of SQL from the one before, never changed once it is released;
//! a new database takes all of them, an older one those that it lacks, in one transaction.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::DbError;

/// The steps: the first makes version 1 of nothing.
const STEPS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];
/// The version that this release reads and writes.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Brings the database up to [`VERSION`]. A newer one is refused untouched; `path` names it in the error.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), DbError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let newer = || DbError::Newer { path: path.to_owned(), found };
    let steps = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)).ok_or_else(newer)?;
    if steps.is_empty() {
        return Ok(());
    }
    for step in steps {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    if found > 0 {
        log::info!("{} was version {found} and is version {VERSION} now", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::types::Value;

    use super::*;

    /// A database as a release with version 1 left it.
    const V1: &str = include_str!("../../../tests/data/endpoint-v1.sql");

    fn rows(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
        let mut statement = connection.prepare(sql).expect("prepares");
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|i| row.get(i)).collect();
        statement.query_map([], row).expect("runs").collect::<Result<_, _>>().expect("rows")
    }

    fn version(connection: &Connection) -> i64 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
    }

    /// Promise: a database of version 1 becomes one of version 2 that keeps every row, has the tables of a new one, and
    /// stays as it is when it is opened again; jobs that are still running then have their notifications ahead.
    #[test]
    fn from_version_1() {
        let (path, mut old) = (Path::new("old.db"), Connection::open_in_memory().expect("opens"));
        old.execute_batch(V1).expect("the sample");
        assert_eq!(version(&old), 1);
        let tables = rows(&old, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'sqlite_sequence'");
        let all = |db: &Connection| -> Vec<_> {
            tables.iter().map(|name| rows(db, &format!("SELECT * FROM {}", text(&name[0])))).collect()
        };
        let before = all(&old);
        assert!(before.len() == 7 && before.iter().all(|rows| !rows.is_empty()), "{before:?}");
        migrate(&mut old, path).expect("migrates");
        assert_eq!(version(&old), 2);
        for (before, after) in before.iter().zip(all(&old)) {
            assert_eq!(before.len(), after.len());
            for (before, after) in before.iter().zip(after) {
                assert_eq!(before[..], after[..before.len()]);
            }
        }
        assert_eq!(rows(&old, "SELECT id FROM jobs WHERE NOT notified"), [[Value::Integer(3)]]);
        let mut new = Connection::open_in_memory().expect("opens");
        migrate(&mut new, path).expect("makes");
        let schema = "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY name";
        assert_eq!(rows(&old, schema), rows(&new, schema));
        migrate(&mut old, path).expect("again");
        assert_eq!(version(&old), 2);
    }

    /// Promise: what a later release, or something else, left is refused and stays as it was.
    #[test]
    fn newer() {
        for found in [VERSION + 1, -1] {
            let mut db = Connection::open_in_memory().expect("opens");
            db.pragma_update(None, "user_version", found).expect("set");
            let refused = migrate(&mut db, Path::new("x.db")).expect_err("refused").to_string();
            assert!(
                refused.starts_with(&format!("x.db has version {found}, this glacierfs knows up to 2")),
                "{refused}"
            );
            assert!(version(&db) == found && rows(&db, "SELECT * FROM sqlite_schema").is_empty());
        }
    }

    fn text(value: &Value) -> &str {
        let Value::Text(text) = value else { panic!("{value:?} is no text") };
        text
    }
}
