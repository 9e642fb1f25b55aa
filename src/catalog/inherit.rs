//! Rules that hold for a file, or for a directory and all that is below it until something nearer says otherwise.
//!
//! They are rows of the table of extended attributes, under names of ours, so that snapshots carry them and a rebuild brings
//! them back. What has several names is below the oldest of them; what has none, and what is glacierfs's own, is below nothing.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::names;
use super::schema::ROOT;
use super::types::ContentId;
use super::types::Ino;
use super::types::OWN;
use super::xattrs;
use crate::util::recall::RecallPolicy;
use crate::util::tier::Tier;

/// What is true of the names of all rules, as the index has it.
const OURS: &str = "name >= CAST('user.glacierfs.' AS BLOB) AND name < CAST('user.glacierfs/' AS BLOB)";

/// How many inodes that have a rule are looked at in one transaction.
const BATCH: i64 = 1000;

/// What can be ruled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Whether what is local stays so.
    Pin,
    /// What a program gets that wants bytes which aren't local.
    Recall,
    /// How recalls that reads start are asked for.
    Tier,
}

impl Rule {
    /// All that there are.
    pub const ALL: [Rule; 3] = [Rule::Pin, Rule::Recall, Rule::Tier];

    /// The extended attribute that it is.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Pin => "user.glacierfs.pin",
            Rule::Recall => "user.glacierfs.recall",
            Rule::Tier => "user.glacierfs.tier",
        }
    }

    /// The rule that the extended attribute `name` is.
    pub fn of(name: &[u8]) -> Option<Self> {
        Rule::ALL.into_iter().find(|rule| rule.name().as_bytes() == name)
    }

    /// The value that `text` stands for, as it is kept.
    ///
    /// # Errors
    /// A sentence that names the text and what is allowed.
    pub fn canonical(self, text: &str) -> std::result::Result<String, String> {
        let mut rules = Rules::default();
        rules.set(self, text)?;
        // It was set just now.
        Ok(rules.get(self).unwrap_or_default())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The rules that hold for something; none where neither it nor anything above says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether what is local of it stays so.
    pub pin: Option<bool>,
    /// What a program gets that wants bytes of it which aren't local.
    pub recall: Option<RecallPolicy>,
    /// How its recalls that reads start are asked for.
    pub tier: Option<Tier>,
}

impl Rules {
    /// Whether it is pinned.
    pub fn is_pinned(&self) -> bool {
        self.pin == Some(true)
    }

    /// The value of one of them, as the extended attribute has it.
    pub fn get(&self, rule: Rule) -> Option<String> {
        match rule {
            Rule::Pin => self.pin.map(|pin| pin.to_string()),
            Rule::Recall => self.recall.map(|policy| policy.to_string()),
            Rule::Tier => self.tier.map(|tier| tier.as_str().to_ascii_lowercase()),
        }
    }

    fn set(&mut self, rule: Rule, text: &str) -> std::result::Result<(), String> {
        match rule {
            Rule::Pin => {
                self.pin = Some(match text {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(format!("{text:?} says nothing of a pin: allowed is true or false")),
                });
            }
            Rule::Recall => self.recall = Some(text.parse()?),
            Rule::Tier => self.tier = Some(text.parse()?),
        }
        Ok(())
    }

    /// These, and where they say nothing, those of what is above.
    fn or(self, above: Rules) -> Rules {
        Rules { pin: self.pin.or(above.pin), recall: self.recall.or(above.recall), tier: self.tier.or(above.tier) }
    }
}

impl Catalog {
    /// The rules that hold for inode `ino`: its own, and those of the nearest directories above that say more.
    ///
    /// # Errors
    /// SQLite's own; an inode that doesn't exist has no rules.
    pub fn rules(&self, ino: Ino) -> Result<Rules> {
        self.read(|conn| if any(conn)? { Walk::new(conn).rules(ino) } else { Ok(Rules::default()) })
    }

    /// Pins inode `ino` and all that is below it, or takes that away: what was set below doesn't count any more. What isn't to be pinned
    /// below something that is, says so. No times change.
    ///
    /// # Errors
    /// [`super::Error::NotFound`]; [`super::Error::Own`].
    pub fn pin(&self, ino: Ino, pin: bool) -> Result<()> {
        let name = Rule::Pin.name().as_bytes();
        self.write(|tx| {
            names::refuse_own(&names::inode(tx, ino)?)?;
            remove(tx, ino, name)?;
            if pin || Walk::new(tx).rules(ino)?.is_pinned() {
                xattrs::put(tx, ino, name, pin.to_string().as_bytes())?;
            }
            Ok(())
        })?;
        let mut after = 0;
        while let Some(last) = self.write(|tx| unset_below(tx, name, ino, after))? {
            after = last;
        }
        Ok(())
    }

    /// Those of `contents` that are pinned.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn pinned(&self, contents: &[ContentId]) -> Result<HashSet<ContentId>> {
        self.read(|conn| pinned(conn, contents))
    }
}

/// Removes the rule `name` from what is below `top`, of the next inodes after `after` that have it. Answers the last of those.
fn unset_below(tx: &Connection, name: &[u8], top: Ino, after: Ino) -> Result<Option<Ino>> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT ino FROM xattr INDEXED BY xattr_rule WHERE {OURS} AND name = ?1 AND ino > ?2 ORDER BY ino LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![name, after as i64, BATCH], |row| Ok(row.get::<_, i64>(0)? as Ino))?;
    let inos: Vec<Ino> = rows.collect::<rusqlite::Result<_>>()?;
    for ino in &inos {
        let mut above = parent(tx, *ino)?;
        while let Some(dir) = above.filter(|dir| *dir != top) {
            above = parent(tx, dir)?;
        }
        if above.is_some() {
            remove(tx, *ino, name)?;
        }
    }
    Ok(inos.last().copied())
}

fn remove(tx: &Connection, ino: Ino, name: &[u8]) -> Result<()> {
    tx.prepare_cached("DELETE FROM xattr WHERE ino = ?1 AND name = ?2")?.execute(params![ino as i64, name])?;
    Ok(())
}

/// The directory that holds the oldest name of `ino`; the root is in none.
fn parent(conn: &Connection, ino: Ino) -> Result<Option<Ino>> {
    if ino == ROOT {
        return Ok(None);
    }
    let mut statement = conn.prepare_cached("SELECT parent FROM dentry WHERE ino = ?1 ORDER BY cookie LIMIT 1")?;
    Ok(statement.query_row([ino as i64], |row| Ok(row.get::<_, i64>(0)? as Ino)).optional()?)
}

/// Those of `contents` that are pinned.
pub(super) fn pinned(conn: &Connection, contents: &[ContentId]) -> Result<HashSet<ContentId>> {
    let mut pinned = HashSet::new();
    if contents.is_empty() || !any(conn)? {
        return Ok(pinned);
    }
    let mut walk = Walk::new(conn);
    let mut owner = conn.prepare_cached("SELECT ino FROM content WHERE id = ?1")?;
    for content in contents {
        let ino = owner.query_row([content], |row| row.get::<_, i64>(0)).optional()?;
        if let Some(ino) = ino
            && walk.rules(ino as Ino)?.is_pinned()
        {
            pinned.insert(*content);
        }
    }
    Ok(pinned)
}

/// Whether anybody has set a rule. Nearly nobody has.
fn any(conn: &Connection) -> Result<bool> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT 1 FROM xattr INDEXED BY xattr_rule WHERE {OURS} LIMIT 1"))?;
    Ok(statement.exists([])?)
}

/// Ways up from inodes to the root, each walked once.
struct Walk<'a> {
    conn: &'a Connection,
    known: HashMap<Ino, Rules>,
}

impl<'a> Walk<'a> {
    fn new(conn: &'a Connection) -> Self {
        Walk { conn, known: HashMap::new() }
    }

    fn rules(&mut self, ino: Ino) -> Result<Rules> {
        if self.is_own(ino)? {
            return Ok(Rules::default());
        }
        let mut way = Vec::new();
        let mut at = Some(ino);
        let mut rules = Rules::default();
        while let Some(ino) = at {
            if let Some(known) = self.known.get(&ino) {
                rules = *known;
                break;
            }
            way.push((ino, self.set_on(ino)?));
            at = parent(self.conn, ino)?;
        }
        for (ino, own) in way.into_iter().rev() {
            rules = own.or(rules);
            self.known.insert(ino, rules);
        }
        Ok(rules)
    }

    fn is_own(&self, ino: Ino) -> Result<bool> {
        let mut statement = self.conn.prepare_cached("SELECT 1 FROM inode WHERE ino = ?1 AND mode & ?2")?;
        Ok(statement.exists([ino as i64, i64::from(OWN)])?)
    }

    /// What is set on `ino` itself. A value that nobody can have set through the mount counts as none.
    fn set_on(&self, ino: Ino) -> Result<Rules> {
        let mut statement =
            self.conn.prepare_cached(&format!("SELECT name, value FROM xattr WHERE ino = ?1 AND {OURS}"))?;
        let mut rows = statement.query([ino as i64])?;
        let mut rules = Rules::default();
        while let Some(row) = rows.next()? {
            let (name, value) = (row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?);
            if let (Some(rule), Ok(text)) = (Rule::of(&name), std::str::from_utf8(&value)) {
                let _ = rules.set(rule, text);
            }
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::catalog::Kind;
    use crate::catalog::NewInode;
    use crate::catalog::RenameMode;
    use crate::catalog::XattrMode;

    struct House {
        catalog: Catalog,
        vault: Ino,
    }

    fn new(kind: Kind, content: Option<ContentId>) -> NewInode<'static> {
        NewInode { mode: kind.bits() | 0o755, uid: 0, gid: 0, rdev: 0, target: None, content }
    }

    impl House {
        fn new(dir: &Path) -> Self {
            let catalog = Catalog::open(&dir.join("catalog.db"), Duration::ZERO).expect("a catalog");
            let vault = catalog.add_vault("v", "", new(Kind::Directory, None), 1).expect("a vault").0.ino;
            House { catalog, vault }
        }

        fn directory(&self, parent: Ino, name: &str) -> Ino {
            self.catalog.create(parent, name.as_bytes(), new(Kind::Directory, None), 1).expect("made").ino
        }

        fn file(&self, parent: Ino, name: &str, content: ContentId) -> Ino {
            self.catalog.create(parent, name.as_bytes(), new(Kind::File, Some(content)), 1).expect("made").ino
        }

        fn set(&self, ino: Ino, rule: Rule, value: &str) {
            self.catalog.set_xattr(ino, rule.name().as_bytes(), value.as_bytes(), XattrMode::Set, 1).expect("set");
        }

        fn rule(&self, ino: Ino, rule: Rule) -> Option<String> {
            self.catalog.rules(ino).expect("rules").get(rule)
        }
    }

    /// Promise: what isn't set on something is what the nearest directory above has, each rule for itself, up to the mount's root;
    /// what is removed lets that above hold again, and what is moved is ruled by where it is.
    #[test]
    fn the_nearest_rules() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let house = House::new(tmp.path());
        let a = house.directory(house.vault, "a");
        let b = house.directory(a, "b");
        let file = house.file(b, "file", 7);
        assert_eq!(house.catalog.rules(file).expect("rules"), Rules::default());
        house.set(ROOT, Rule::Tier, "bulk");
        house.set(a, Rule::Pin, "true");
        house.set(b, Rule::Recall, "deny");
        let all = Rules { pin: Some(true), recall: Some(RecallPolicy::Deny), tier: Some(Tier::Bulk) };
        assert_eq!(house.catalog.rules(file).expect("rules"), all);
        assert_eq!(house.rule(house.vault, Rule::Pin), None);
        house.set(file, Rule::Pin, "false");
        house.set(file, Rule::Tier, "expedited");
        assert_eq!(house.rule(file, Rule::Pin).as_deref(), Some("false"));
        assert_eq!(house.rule(file, Rule::Tier).as_deref(), Some("expedited"));
        assert!(house.catalog.pinned(&[7]).expect("pinned").is_empty());
        house.catalog.remove_xattr(file, Rule::Pin.name().as_bytes(), 1).expect("removed");
        assert_eq!(house.catalog.pinned(&[7, 8]).expect("pinned"), HashSet::from([7]));
        house.catalog.rename((b, b"file"), (house.vault, b"file"), RenameMode::Replace, 1).expect("renamed");
        assert_eq!(house.rule(file, Rule::Pin), None);
        assert_eq!(house.rule(file, Rule::Recall), None);
    }

    /// Promise: a file with several names is ruled by the oldest of them, one without a name by nothing above it, and what is
    /// glacierfs's own by nothing at all.
    #[test]
    fn names_that_count() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let house = House::new(tmp.path());
        let (pinned, other) = (house.directory(house.vault, "pinned"), house.directory(house.vault, "other"));
        house.set(pinned, Rule::Pin, "true");
        let file = house.file(other, "file", 7);
        house.catalog.link(file, pinned, b"file", 1).expect("linked");
        assert_eq!(house.rule(file, Rule::Pin), None);
        house.catalog.unlink(other, b"file", 1).expect("unlinked");
        assert_eq!(house.rule(file, Rule::Pin).as_deref(), Some("true"));
        house.catalog.unlink(pinned, b"file", 1).expect("unlinked");
        assert_eq!(house.rule(file, Rule::Pin), None);
        house.set(house.vault, Rule::Pin, "true");
        let vault = house.catalog.inode(house.vault).expect("the vault").vault.expect("a vault's");
        house.catalog.add_snapshot(vault, b"s", 5, 9, 1).expect("added");
        let own = house.catalog.lookup(house.vault, b".glacierfs").expect("lookup").expect("it is there").ino;
        assert_eq!(house.rule(own, Rule::Pin), None);
        assert!(house.catalog.pinned(&[9]).expect("pinned").is_empty());
        let name = Rule::Pin.name().as_bytes();
        assert!(house.catalog.set_xattr(own, name, b"true", XattrMode::Set, 1).is_err());
    }

    /// Promise: what is pinned, or isn't any more, is so with all that is below it, whatever was set there; what isn't to be pinned in
    /// something that is, isn't.
    #[test]
    fn pins_of_trees() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let house = House::new(tmp.path());
        let a = house.directory(house.vault, "a");
        let b = house.directory(a, "b");
        let beside = house.directory(house.vault, "beside");
        let (in_b, in_beside) = (house.file(b, "file", 7), house.file(beside, "file", 8));
        let pinned = || {
            let pinned = house.catalog.pinned(&[7, 8]).expect("pinned");
            [7, 8].map(|id| pinned.contains(&id))
        };
        let ctime = house.catalog.inode(b).expect("b").ctime;
        house.set(in_b, Rule::Pin, "false");
        house.set(in_beside, Rule::Pin, "true");
        house.catalog.pin(a, true).expect("pinned");
        assert_eq!(pinned(), [true, true]);
        assert_eq!(house.catalog.xattr(in_b, Rule::Pin.name().as_bytes()).expect("read"), None);
        house.catalog.pin(b, false).expect("unpinned");
        assert_eq!((pinned(), house.rule(b, Rule::Pin).as_deref()), ([false, true], Some("false")));
        house.catalog.pin(house.vault, false).expect("unpinned");
        assert_eq!((pinned(), house.rule(b, Rule::Pin)), ([false, false], None));
        house.catalog.pin(ROOT, true).expect("pinned");
        assert_eq!(pinned(), [true, true]);
        assert_eq!(house.catalog.inode(b).expect("b").ctime, ctime);
    }

    /// Promise: values are kept in one form, and others are refused with what is allowed.
    #[test]
    fn values() {
        assert_eq!(Rule::Pin.canonical("1").as_deref(), Ok("true"));
        assert_eq!(Rule::Pin.canonical("false").as_deref(), Ok("false"));
        assert_eq!(Rule::Tier.canonical("Bulk").as_deref(), Ok("bulk"));
        assert_eq!(Rule::Recall.canonical("queue").as_deref(), Ok("queue"));
        for (rule, allowed) in [
            (Rule::Pin, "true or false"),
            (Rule::Tier, "expedited, standard or bulk"),
            (Rule::Recall, "wait, queue or deny"),
        ] {
            let error = rule.canonical("perhaps").expect_err("no value");
            assert!(error.contains("perhaps") && error.contains(allowed), "{error}");
            assert_eq!(Rule::of(rule.name().as_bytes()), Some(rule));
        }
    }
}
