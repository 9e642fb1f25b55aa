//! The inventory document: the list of a vault's archives, about a day old, as the output of an inventory job.
//!
//! JSON is what glacierfs asks for, and reads as it arrives ([`read_json`]): a vault of millions of archives takes no more
//! memory than one of ten. CSV is read and written because the endpoint serves it and people have it: inside
//! quotes a `"` is written `\"` while a backslash stays as it is. Descriptions are the only free text and hold no line
//! breaks, so a line is read from both ends, and whatever stands between is the description.

use std::fmt::{self, Write};
use std::io::{self, BufReader};

use jiff::Timestamp;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::glacier::treehash::TreeHash;
use crate::glacier::wire;

/// The first line of a CSV inventory.
pub const CSV_HEADER: &str = "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash";

/// A time in the inventory document: written in whole seconds, read with any fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InventoryDate(pub Timestamp);

impl fmt::Display for InventoryDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

impl Serialize for InventoryDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InventoryDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::Date::deserialize(deserializer).map(|date| InventoryDate(date.0))
    }
}

/// The inventory document (3.29), members in the service's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The vault's ARN.
    #[serde(rename = "VaultARN")]
    pub vault_arn: String,
    /// When the inventory was generated; it knows nothing younger.
    #[serde(rename = "InventoryDate")]
    pub inventory_date: InventoryDate,
    /// The archives, in the service's order.
    #[serde(rename = "ArchiveList")]
    pub archives: Vec<InventoryArchive>,
}

/// One archive of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryArchive {
    /// The archive's ID.
    #[serde(rename = "ArchiveId")]
    pub archive_id: String,
    /// Its description; empty when it has none.
    #[serde(rename = "ArchiveDescription", default, deserialize_with = "wire::null_as_default")]
    pub description: String,
    /// When its upload was completed.
    #[serde(rename = "CreationDate")]
    pub created: InventoryDate,
    /// Its size in bytes.
    #[serde(rename = "Size")]
    pub size: u64,
    /// The tree hash of all of it.
    #[serde(rename = "SHA256TreeHash")]
    pub tree_hash: TreeHash,
}

/// What [`read_json`] comes across.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// When the inventory was generated.
    Generated(InventoryDate),
    /// The next archive.
    Archive(InventoryArchive),
}

/// Reads an inventory document in JSON and hands each item to `each` as it comes, until `each` answers `false`, which is
/// an error like any other that ends it early. A document that is cut off is an error, after the items it has.
pub fn read_json(reader: impl io::Read, each: &mut dyn FnMut(Item) -> bool) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(reader));
    Document(each).deserialize(&mut json)?;
    json.end()
}

/// Reads the document, and by [`Archives`] its list.
struct Document<'a>(&'a mut dyn FnMut(Item) -> bool);

struct Archives<'a>(&'a mut dyn FnMut(Item) -> bool);

fn hand<E: de::Error>(each: &mut dyn FnMut(Item) -> bool, item: Item) -> Result<(), E> {
    if each(item) { Ok(()) } else { Err(E::custom("nobody reads any further")) }
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an inventory document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut listed = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "InventoryDate" => hand(self.0, Item::Generated(map.next_value()?))?,
                "ArchiveList" => {
                    map.next_value_seed(Archives(self.0))?;
                    listed = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if listed { Ok(()) } else { Err(de::Error::missing_field("ArchiveList")) }
    }
}

impl<'de> DeserializeSeed<'de> for Archives<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Archives<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of archives")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(archive) = list.next_element()? {
            hand(self.0, Item::Archive(archive))?;
        }
        Ok(())
    }
}

/// A line of a CSV inventory that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the CSV inventory: {reason}")]
pub struct CsvError {
    /// The number of the line, the header being 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Writes `archives` as a CSV inventory, with its header line.
pub fn to_csv<'a>(archives: impl IntoIterator<Item = &'a InventoryArchive>) -> String {
    let mut csv = format!("{CSV_HEADER}\n");
    for archive in archives {
        csv.push_str(&csv_line(archive));
    }
    csv
}

/// One line of a CSV inventory, with its line break. The description is always quoted.
pub fn csv_line(archive: &InventoryArchive) -> String {
    let InventoryArchive { archive_id, description, created, size, tree_hash } = archive;
    let mut line = String::with_capacity(archive_id.len() + description.len() + 120);
    let description = description.replace('"', "\\\"");
    // Writing to a string can't fail.
    let _ = writeln!(line, "{archive_id},\"{description}\",{created},{size},{tree_hash}");
    line
}

/// Parses a CSV inventory, with or without its header line. Fields may be quoted or not; empty lines are skipped.
pub fn from_csv(csv: &str) -> Result<Vec<InventoryArchive>, CsvError> {
    let lines = csv.lines().enumerate().filter(|(i, line)| !(line.is_empty() || (*i == 0 && *line == CSV_HEADER)));
    lines.map(|(i, line)| parse_line(line).map_err(|reason| CsvError { line: i + 1, reason })).collect()
}

fn parse_line(line: &str) -> Result<InventoryArchive, String> {
    let fields = line.split_once(',').and_then(|(id, rest)| {
        let mut fields = rest.rsplitn(4, ',');
        let (hash, size, date) = (fields.next()?, fields.next()?, fields.next()?);
        Some((id, fields.next()?, date, size, hash))
    });
    let (id, description, date, size, hash) = fields.ok_or("has fewer than five fields")?;
    let size = unquote(size);
    let date = unquote(date);
    Ok(InventoryArchive {
        archive_id: unquote(id),
        description: unquote(description),
        created: InventoryDate(wire::parse_date(&date).ok_or_else(|| format!("{date:?} is not a date"))?),
        size: size.parse().map_err(|_| format!("{size:?} is not a size in bytes"))?,
        tree_hash: unquote(hash).parse().map_err(|error| format!("{error}"))?,
    })
}

fn unquote(field: &str) -> String {
    match field.strip_prefix('"').and_then(|field| field.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\""),
        None => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::glacier::treehash::leaf;

    fn archive(description: &str) -> InventoryArchive {
        InventoryArchive {
            archive_id: "-an_id".into(),
            description: description.into(),
            created: InventoryDate("2015-04-07T00:26:18Z".parse().expect("a time")),
            size: 3_145_728,
            tree_hash: leaf(b""),
        }
    }

    /// Promise: the JSON document looks as the service writes it, and the forms seen in the wild are read: fractions in
    /// dates, null or absent descriptions, unknown members.
    #[test]
    fn json_document() {
        let inventory = Inventory {
            vault_arn: "arn:aws:glacier:us-east-1:012345678901:vaults/v".into(),
            inventory_date: InventoryDate("2015-04-07T00:26:18.7Z".parse().expect("a time")),
            archives: vec![archive("")],
        };
        let json = serde_json::to_string(&inventory).expect("serialises");
        let hash = leaf(b"");
        assert_eq!(
            json,
            format!(
                r#"{{"VaultARN":"arn:aws:glacier:us-east-1:012345678901:vaults/v","InventoryDate":"2015-04-07T00:26:18Z","ArchiveList":[{{"ArchiveId":"-an_id","ArchiveDescription":"","CreationDate":"2015-04-07T00:26:18Z","Size":3145728,"SHA256TreeHash":"{hash}"}}]}}"#
            )
        );
        for description in [r#""ArchiveDescription":null,"#, r#""New":[],"#] {
            let json = json.replace(r#""ArchiveDescription":"","#, description).replace(":18Z", ":18.000Z");
            let read: Inventory = serde_json::from_str(&json).expect(&json);
            assert_eq!(read.archives, inventory.archives);
        }
    }

    /// Promise: a document is read item by item; reading stops when told to, and one that is cut off is an error.
    #[test]
    fn json_item_by_item() {
        let date = InventoryDate("2015-04-07T00:26:18Z".parse().expect("a time"));
        let archives = vec![archive("a"), archive("b"), archive("c")];
        let inventory = Inventory { vault_arn: "arn".into(), inventory_date: date, archives: archives.clone() };
        let json = serde_json::to_string(&inventory).expect("serialises");
        let all: Vec<_> = [Item::Generated(date)].into_iter().chain(archives.into_iter().map(Item::Archive)).collect();
        let read = |json: &str, limit: usize| {
            let mut items = Vec::new();
            let result = read_json(json.as_bytes(), &mut |item| {
                items.push(item);
                items.len() < limit
            });
            (items, result.is_ok())
        };
        assert_eq!(read(&json, 9), (all.clone(), true));
        assert_eq!(read(&json, 2), (all[..2].to_vec(), false));
        for cut in 0..json.len() {
            let (items, complete) = read(&json[..cut], 9);
            assert!(!complete && all.starts_with(&items), "{cut}");
        }
        assert!(!read("{}", 9).1);
    }

    /// Promise: lines as the service writes them are read, quoted or not; a bad line is named.
    #[test]
    fn csv_document() {
        let hash = leaf(b"");
        let line = |description: &str| format!("-an_id,{description},2015-04-07T00:26:18Z,3145728,{hash}\n");
        for (written, description) in [(r#""""#, ""), (r#""a, \"b\", c\""#, "a, \"b\", c\\"), ("plain", "plain")] {
            let read = from_csv(&format!("{CSV_HEADER}\n{}", line(written)));
            assert_eq!(read, Ok(vec![archive(description)]), "{written}");
        }
        for bad in ["x", "a,b,c,d", "a,b,c,d,e"] {
            let error = from_csv(&format!("{CSV_HEADER}\n{bad}\n")).expect_err(bad);
            assert_eq!(error.line, 2, "{error}");
        }
    }

    proptest! {
        /// Promise: every description that Glacier allows survives CSV, quotes, commas and backslashes included.
        #[test]
        fn csv_round_trip(descriptions in prop::collection::vec("[ -~]{0,60}|[a\\\\\",]{0,12}", 0..5)) {
            let archives: Vec<_> = descriptions.iter().map(|d| archive(d)).collect();
            prop_assert_eq!(from_csv(&to_csv(&archives)), Ok(archives));
        }
    }
}
