//! Version 1 of the format: what the lines of a snapshot say. Each is a JSON object. Members and lines of kinds that aren't
//! known are skipped by readers, so that version 1 can grow.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;

use crate::catalog::Ino;
use crate::catalog::Node;
use crate::catalog::NodeArchive;
use crate::catalog::NodeContent;
use crate::catalog::NodeTrash;
use crate::catalog::State;

/// The version that is written, and the newest that is read.
pub(super) const VERSION: u32 = 1;

/// Whether a snapshot says everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// All of the tree.
    Full,
    /// What has changed since the full one that it names.
    Delta,
}

impl Kind {
    /// As in a snapshot's name.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Full => "full",
            Kind::Delta => "delta",
        }
    }
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    #[serde(rename = "glacierfs_snapshot")]
    pub version: u32,
    /// The vault's name.
    pub vault: String,
    /// Whether it says everything.
    pub kind: Kind,
    /// The catalog that wrote it, in hexadecimal digits.
    pub catalog: String,
    /// The name of the full snapshot that a delta builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// When it was taken.
    pub created: jiff::Timestamp,
    /// The number of the vault's own directory.
    pub root: Ino,
    /// No inode number from here on was given out.
    pub next_ino: Ino,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub end: bool,
    /// Lines between the first and the last.
    pub entries: u64,
    /// SHA-256 of these lines, each with its line feed, in hexadecimal digits.
    pub sha256: String,
}

/// Any line but the first, as far as it takes to know its kind.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Any {
    #[serde(default)]
    pub ino: Option<Ino>,
    #[serde(default)]
    pub removed: bool,
    #[serde(default)]
    pub end: bool,
}

/// A line that tells of an inode.
#[derive(Serialize, Deserialize)]
pub(super) struct Inode {
    ino: Ino,
    mode: u32,
    uid: u32,
    gid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    rdev: u32,
    size: u64,
    atime: i64,
    mtime: i64,
    ctime: i64,
    btime: i64,
    names: Vec<(Ino, Text)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(Text, Text)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trash: Option<Trash>,
}

#[derive(Serialize, Deserialize)]
struct Trash {
    path: Text,
    deleted: i64,
    due: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost: Vec<Text>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    key: Hex<8>,
    size: u64,
    state: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archive: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tree_hash: Option<Hex<32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<i64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Dirty,
    Sealed,
    Archived,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A line that tells of an inode that is gone since the full snapshot.
#[derive(Serialize)]
pub(super) struct Removed {
    pub ino: Ino,
    pub removed: bool,
}

/// Bytes that mostly are UTF-8: a string, or else `{"b64": …}`.
struct Text(Vec<u8>);

#[derive(Serialize, Deserialize)]
struct Base64 {
    b64: String,
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Base64 { b64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Plain(String),
            Encoded(Base64),
        }
        match Either::deserialize(deserializer)? {
            Either::Plain(text) => Ok(Text(text.into_bytes())),
            Either::Encoded(encoded) => STANDARD.decode(encoded.b64).map(Text).map_err(D::Error::custom),
        }
    }
}

/// Bytes in hexadecimal digits.
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(&text, &mut bytes).map_err(D::Error::custom)?;
        Ok(Hex(bytes))
    }
}

impl From<Node> for Inode {
    fn from(node: Node) -> Self {
        let text = |bytes: Vec<u8>| Text(bytes);
        Inode {
            ino: node.ino,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            rdev: node.rdev,
            size: node.size,
            atime: node.atime,
            mtime: node.mtime,
            ctime: node.ctime,
            btime: node.btime,
            names: node.names.into_iter().map(|(parent, name)| (parent, Text(name))).collect(),
            target: node.target.map(text),
            xattrs: node.xattrs.into_iter().map(|(name, value)| (Text(name), Text(value))).collect(),
            content: node.content.map(|content| {
                let (archive, tree_hash, created) = match content.archive {
                    Some(archive) => (Some(archive.archive_id), Some(Hex(archive.tree_hash)), Some(archive.created)),
                    None => (None, None, None),
                };
                let state = match content.state {
                    State::Dirty => Word::Dirty,
                    State::Sealed => Word::Sealed,
                    State::Archived => Word::Archived,
                };
                Content { key: Hex(content.id.to_be_bytes()), size: content.size, state, archive, tree_hash, created }
            }),
            trash: node.trash.map(|trash| Trash {
                path: Text(trash.path),
                deleted: trash.deleted,
                due: trash.due,
                lost: trash.lost.into_iter().map(Text).collect(),
            }),
        }
    }
}

impl TryFrom<Inode> for Node {
    type Error = &'static str;

    fn try_from(line: Inode) -> Result<Node, &'static str> {
        let content = match line.content {
            None => None,
            Some(content) => {
                let id = i64::from_be_bytes(content.key.0);
                // What is being written has no size yet.
                let is_empty = content.size == 0 && content.archive.is_some();
                if id <= 0 || is_empty || i64::try_from(content.size).is_err() {
                    return Err("a content that can't be");
                }
                let archive = match (content.archive, content.tree_hash, content.created) {
                    (Some(archive_id), Some(Hex(tree_hash)), Some(created)) => {
                        Some(NodeArchive { archive_id, tree_hash, created })
                    }
                    (None, ..) => None,
                    _ => return Err("an archive of which too little is told"),
                };
                let state = match content.state {
                    Word::Dirty => State::Dirty,
                    Word::Sealed => State::Sealed,
                    Word::Archived => State::Archived,
                };
                Some(NodeContent { id, size: content.size, state, archive })
            }
        };
        Ok(Node {
            ino: line.ino,
            mode: line.mode,
            uid: line.uid,
            gid: line.gid,
            rdev: line.rdev,
            size: line.size,
            atime: line.atime,
            mtime: line.mtime,
            ctime: line.ctime,
            btime: line.btime,
            names: line.names.into_iter().map(|(parent, Text(name))| (parent, name)).collect(),
            target: line.target.map(|Text(target)| target),
            xattrs: line.xattrs.into_iter().map(|(Text(name), Text(value))| (name, value)).collect(),
            content,
            trash: line.trash.map(|Trash { path: Text(path), deleted, due, lost }| NodeTrash {
                path,
                deleted,
                due,
                lost: lost.into_iter().map(|Text(path)| path).collect(),
            }),
        })
    }
}

/// What the line of an inode says.
#[cfg(any(test, fuzzing))]
pub(super) fn read_line(line: &[u8]) -> Result<Node, String> {
    let line: Inode = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Node::try_from(line).map_err(str::to_owned)
}
