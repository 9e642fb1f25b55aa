//! Copies and checks of a catalog in a file, of a mount that runs or of none. Reading only.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::OpenFlags;

use super::Catalog;
use super::Result;
use super::Vault;
use super::schema;

/// How many findings of a kind are told.
const SHOWN: usize = 20;

/// What must hold in a catalog: what it says when it doesn't, and the query that finds where.
const INVARIANTS: &[(&str, &str)] = &[
    ("an entry of directory {} names an inode that isn't there", "SELECT parent FROM dentry WHERE ino NOT IN (SELECT ino FROM inode)"),
    (
        "inode {} has entries and is no directory, or isn't there",
        "SELECT DISTINCT d.parent FROM dentry d LEFT JOIN inode i ON i.ino = d.parent
         WHERE i.ino IS NULL OR i.mode & 61440 <> 16384",
    ),
    (
        "directory {} has more than one name",
        "SELECT d.ino FROM dentry d JOIN inode i ON i.ino = d.ino WHERE i.mode & 61440 = 16384
         GROUP BY d.ino HAVING COUNT(*) > 1",
    ),
    (
        "inode {} has another number of names than it counts",
        "SELECT i.ino FROM inode i LEFT JOIN (SELECT ino, COUNT(*) AS n FROM dentry GROUP BY ino) d ON d.ino = i.ino
         WHERE i.mode & 61440 <> 16384 AND i.nlink <> COALESCE(d.n, 0)",
    ),
    (
        "directory {} counts another number of directories than it has",
        "SELECT i.ino FROM inode i LEFT JOIN (
             SELECT d.parent, COUNT(*) AS n FROM dentry d JOIN inode c ON c.ino = d.ino
             WHERE c.mode & 61440 = 16384 AND NOT (d.name = X'2E676C61636965726673' AND c.mode & 65536) GROUP BY d.parent
         ) s ON s.parent = i.ino
         WHERE i.mode & 61440 = 16384 AND i.nlink > 0 AND i.mode & 65536 = 0 AND i.nlink <> 2 + COALESCE(s.n, 0)",
    ),
    (
        "inode {} has no name, and isn't noted as such",
        "SELECT ino FROM inode WHERE nlink = 0 AND ino NOT IN (SELECT ino FROM orphan)
         AND ino NOT IN (SELECT ino FROM trash)",
    ),
    (
        "inode {} is in the trash, and has a name or isn't there",
        "SELECT t.ino FROM trash t LEFT JOIN inode i ON i.ino = t.ino WHERE i.ino IS NULL OR i.nlink > 0",
    ),
    (
        "inode {} has a content that isn't there, or is another's",
        "SELECT i.ino FROM inode i LEFT JOIN content c ON c.id = i.content
         WHERE i.content IS NOT NULL AND (c.id IS NULL OR c.ino <> i.ino)",
    ),
    (
        "content {} is of no inode",
        "SELECT c.id FROM content c LEFT JOIN inode i ON i.content = c.id WHERE i.ino IS NULL",
    ),
    (
        "content {} is archived, and its archive isn't there",
        "SELECT c.id FROM content c LEFT JOIN archive a ON a.id = c.archive WHERE c.state = 2 AND a.id IS NULL",
    ),
    (
        "content {} has another size than its inode",
        "SELECT c.id FROM content c JOIN inode i ON i.content = c.id WHERE c.state <> 0 AND c.size <> i.size",
    ),
    (
        "content {} isn't archived, and has no file",
        "SELECT id FROM content WHERE state <> 2 AND file IS NULL",
    ),
    (
        "archive {} is of no content",
        "SELECT id FROM archive WHERE id NOT IN (SELECT archive FROM content WHERE archive IS NOT NULL)",
    ),
    (
        "an entry of directory {} has a position that another has",
        "SELECT parent FROM dentry GROUP BY parent, cookie HAVING COUNT(*) > 1",
    ),
    (
        "an entry of directory {} has a position that wasn't given out yet",
        "SELECT parent FROM dentry WHERE cookie >= (SELECT reserved FROM counter)",
    ),
    ("inode {} wasn't given out yet", "SELECT ino FROM inode WHERE ino >= (SELECT reserved FROM counter) AND mode & 65536 = 0"),
    ("attributes are of inode {}, which isn't there", "SELECT DISTINCT ino FROM xattr WHERE ino NOT IN (SELECT ino FROM inode)"),
    (
        "vault {} has no directory",
        "SELECT id FROM vault WHERE root NOT IN (SELECT ino FROM inode)",
    ),
];

impl Catalog {
    /// Everything that isn't as it must be in the catalog at `path`, which may be in use.
    ///
    /// # Errors
    /// A file that can't be read as a catalog at all.
    pub fn check(path: &Path) -> Result<Vec<String>> {
        let conn = read_only(path)?;
        conn.execute_batch("BEGIN")?;
        let mut found = Vec::new();
        let mut statement = conn.prepare("PRAGMA integrity_check")?;
        let said = statement.query_map([], |row| row.get::<_, String>(0))?;
        found.extend(said.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().filter(|line| line != "ok"));
        for (meaning, query) in INVARIANTS {
            let mut statement = conn.prepare(query)?;
            let numbers: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            found.extend(numbers.iter().take(SHOWN).map(|number| meaning.replace("{}", &number.to_string())));
            if numbers.len() > SHOWN {
                found.push(format!("... and {} more of this kind", numbers.len() - SHOWN));
            }
        }
        Ok(found)
    }

    /// Writes a copy of the catalog at `path`, which may be in use, to the new file `to`: as of one moment, and durable.
    ///
    /// # Errors
    /// A target that exists.
    pub fn copy(path: &Path, to: &Path) -> Result<()> {
        let io = |source| super::Error::Io { path: to.to_path_buf(), source };
        // It is for its owner alone from the first moment on. SQLite takes an empty file for a new one.
        let file = {
            use std::os::unix::fs::OpenOptionsExt as _;
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(to).map_err(io)?
        };
        let conn = read_only(path)?;
        // It minds the writing of the copy too.
        conn.pragma_update(None, "query_only", false)?;
        conn.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
        file.sync_all().map_err(io)
    }

    /// Makes the catalog at `path`, which nothing uses, forget what is local of archived files: a file of the store that an older catalog knows
    /// may have got other bytes since.
    ///
    /// # Errors
    /// The disk's.
    pub fn distrust_cache(path: &Path) -> Result<()> {
        let conn = read_only(path)?;
        conn.pragma_update(None, "query_only", false)?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.execute(
            "UPDATE content SET file = NULL, present = NULL, due = NULL WHERE state = 2 AND file IS NOT NULL",
            [],
        )?;
        Ok(())
    }

    /// The vaults of the catalog at `path`, by name, without opening it for anything else.
    pub fn vaults_of(path: &Path) -> Result<Vec<Vault>> {
        super::vaults::all(&read_only(path)?)
    }
}

/// A connection to the catalog at `path` that changes nothing, without its lock.
pub(super) fn read_only(path: &Path) -> Result<Connection> {
    schema::check(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}
