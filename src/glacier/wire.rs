//! The bodies and header names of all 33 operations of the API, for both ends of the wire.
//!
//! The service writes explicit nulls, so what it answers serialises every `None` as `null` (two documented exceptions
//! apart); a reader treats absent and null alike and ignores members it doesn't know. Requests leave out what isn't
//! given. Words from a fixed list are enums that keep a word they don't know, so that a newer service breaks nobody: the
//! endpoint asks `is_known` and refuses. What a client may get wrong and deserves its own error for (dates, ranges and
//! numbers in requests) stays text here.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::glacier::treehash::TreeHash;

mod select;

pub use select::*;

/// Header names, lower case, and the values that are fixed.
pub mod header {
    /// The API version; required on every request.
    pub const VERSION: &str = "x-amz-glacier-version";
    /// The only value of [`VERSION`].
    pub const API_VERSION: &str = "2012-06-01";
    /// The time a request was signed at, `YYYYMMDD'T'HHMMSS'Z'`.
    pub const DATE: &str = "x-amz-date";
    /// The token of temporary credentials.
    pub const SECURITY_TOKEN: &str = "x-amz-security-token";
    /// The SHA-256 of the body, lower-case hexadecimal.
    pub const CONTENT_SHA256: &str = "x-amz-content-sha256";
    /// The tree hash of an archive, a part or a range.
    pub const TREE_HASH: &str = "x-amz-sha256-tree-hash";
    /// The description of an archive.
    pub const ARCHIVE_DESCRIPTION: &str = "x-amz-archive-description";
    /// The ID of a new archive.
    pub const ARCHIVE_ID: &str = "x-amz-archive-id";
    /// The size in bytes of an archive whose upload is completed.
    pub const ARCHIVE_SIZE: &str = "x-amz-archive-size";
    /// The size in bytes of each part of a multipart upload but the last.
    pub const PART_SIZE: &str = "x-amz-part-size";
    /// The ID of a new multipart upload.
    pub const UPLOAD_ID: &str = "x-amz-multipart-upload-id";
    /// The ID of a new job.
    pub const JOB_ID: &str = "x-amz-job-id";
    /// Where the output of a new select job goes.
    pub const JOB_OUTPUT_PATH: &str = "x-amz-job-output-path";
    /// The ID of a new vault lock.
    pub const LOCK_ID: &str = "x-amz-lock-id";
    /// The ID of a new unit of provisioned capacity.
    pub const CAPACITY_ID: &str = "x-amz-capacity-id";
    /// The request's ID, on every response.
    pub const REQUEST_ID: &str = "x-amzn-requestid";
}

/// Parses a date as the API's clients and servers write it: RFC 3339, any number of fraction digits.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A time in API fields: written in UTC with exactly three fraction digits (`2013-03-20T17:03:43.221Z`), read with any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub Timestamp);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || serde::de::Error::custom(format!("{text:?} is not a date such as 2013-03-20T17:03:43.221Z"));
        parse_date(&text).map(Date).ok_or_else(bad)
    }
}

/// Reads null as the default, for members that aren't optional in their meaning.
pub(crate) fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Option::deserialize(d).map(Option::unwrap_or_default)
}

/// Reads a string, a number or null as optional text: numbers in the API are strings, but not every client knows.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(serde_json::Number),
    }
    Ok(Option::deserialize(deserializer)?.map(|value| match value {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    }))
}

/// Defines an enum of the API's words that keeps words it doesn't know.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word that isn't in the API as known here.
            Unknown(String),
        }

        impl $name {
            /// The words of the API, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$variant => $word,)+
                    $name::Unknown(word) => word,
                }
            }

            /// Whether the word is one of the API's.
            pub fn is_known(&self) -> bool {
                !matches!(self, $name::Unknown(_))
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => $name::$variant,)+
                    _ => $name::Unknown(word.to_owned()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|word| Self::from(word.as_str()))
            }
        }
    };
}

words! {
    /// What a job is asked to do, in InitiateJob.
    JobType {
        /// Bring an archive, or a range of it, within reach.
        ArchiveRetrieval = "archive-retrieval",
        /// Bring the vault's last inventory within reach.
        InventoryRetrieval = "inventory-retrieval",
        /// Run a query over an archive; withdrawn by the service.
        Select = "select",
    }
}

words! {
    /// What a job does, in its description.
    Action {
        /// It retrieves an archive or a range of it.
        ArchiveRetrieval = "ArchiveRetrieval",
        /// It retrieves the vault's last inventory.
        InventoryRetrieval = "InventoryRetrieval",
        /// It runs a query over an archive.
        Select = "Select",
    }
}

words! {
    /// How far a job has come.
    StatusCode {
        /// Neither done nor failed.
        InProgress = "InProgress",
        /// Its output can be read.
        Succeeded = "Succeeded",
        /// It has no output and never will.
        Failed = "Failed",
    }
}

words! {
    /// How fast, and how dear, a retrieval is. The default of the service is Standard.
    Tier {
        /// Minutes.
        Expedited = "Expedited",
        /// Hours.
        Standard = "Standard",
        /// Up to half a day.
        Bulk = "Bulk",
    }
}

words! {
    /// The format of an inventory document. The default of the service is JSON.
    InventoryFormat {
        /// One line an archive.
        Csv = "CSV",
        /// One object.
        Json = "JSON",
    }
}

words! {
    /// The state of a vault lock.
    LockState {
        /// In force, and given up unless completed within 24 hours.
        InProgress = "InProgress",
        /// In force for ever.
        Locked = "Locked",
    }
}

words! {
    /// What a data retrieval policy limits.
    Strategy {
        /// The rate of retrieval.
        BytesPerHour = "BytesPerHour",
        /// What costs money.
        FreeTier = "FreeTier",
        /// Nothing.
        None = "None",
    }
}

words! {
    /// An event of a vault that can be published.
    NotificationEvent {
        /// An archive job has succeeded or failed.
        ArchiveRetrievalCompleted = "ArchiveRetrievalCompleted",
        /// An inventory job has succeeded or failed.
        InventoryRetrievalCompleted = "InventoryRetrievalCompleted",
    }
}

/// A vault (DescribeVault, ListVaults). The counts are those of the last inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VaultDescription {
    /// When the vault was created.
    pub creation_date: Date,
    /// When its last inventory was generated; none before the first.
    pub last_inventory_date: Option<Date>,
    /// The number of archives in it.
    pub number_of_archives: Option<u64>,
    /// The bytes in it, including 32 KiB for each archive.
    pub size_in_bytes: Option<u64>,
    /// Its ARN.
    #[serde(rename = "VaultARN")]
    pub vault_arn: String,
    /// Its name.
    pub vault_name: String,
}

/// A page of ListVaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VaultPage {
    /// Where the next page starts (a vault's ARN, exclusive); none on the last page.
    pub marker: Option<String>,
    /// The vaults, by name.
    pub vault_list: Vec<VaultDescription>,
}

/// The body of SetVaultNotifications and GetVaultNotifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NotificationConfig {
    /// The topic's ARN; required.
    #[serde(rename = "SNSTopic")]
    pub sns_topic: Option<String>,
    /// The events to publish; required, one or two.
    pub events: Option<Vec<NotificationEvent>>,
}

/// A policy as text: SetVaultAccessPolicy, GetVaultAccessPolicy, InitiateVaultLock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VaultPolicy {
    /// The policy, a JSON document as a string; required.
    pub policy: Option<String>,
}

/// The answer of GetVaultLock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VaultLock {
    /// The policy, a JSON document as a string.
    pub policy: String,
    /// Whether it can still be aborted.
    pub state: LockState,
    /// When it will vanish unless completed; left out when locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_date: Option<Date>,
    /// When it was initiated.
    pub creation_date: Date,
}

/// The body of AddTagsToVault and ListTagsForVault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tags {
    /// Values by key.
    #[serde(deserialize_with = "null_as_default")]
    pub tags: BTreeMap<String, String>,
}

/// The body of RemoveTagsFromVault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TagKeys {
    /// The keys to remove.
    #[serde(deserialize_with = "null_as_default")]
    pub tag_keys: Vec<String>,
}

/// A multipart upload in ListMultipartUploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadListElement {
    /// The description of the archive to be; none if none was given.
    pub archive_description: Option<String>,
    /// When the upload was initiated.
    pub creation_date: Date,
    /// Its ID.
    pub multipart_upload_id: String,
    /// The size in bytes of each part but the last.
    pub part_size_in_bytes: u64,
    /// The vault's ARN.
    #[serde(rename = "VaultARN")]
    pub vault_arn: String,
}

/// A page of ListMultipartUploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadPage {
    /// Where the next page starts; none on the last page.
    pub marker: Option<String>,
    /// The uploads in progress.
    pub uploads_list: Vec<UploadListElement>,
}

/// A part in ListParts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartListElement {
    /// The bytes of the archive it holds: `first-last`, inclusive.
    #[serde(rename = "RangeInBytes")]
    pub range_in_bytes: String,
    /// Its tree hash.
    #[serde(rename = "SHA256TreeHash")]
    pub tree_hash: TreeHash,
}

/// A page of ListParts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PartPage {
    /// The description of the archive to be; none if none was given.
    pub archive_description: Option<String>,
    /// When the upload was initiated.
    pub creation_date: Date,
    /// Where the next page starts; none on the last page.
    pub marker: Option<String>,
    /// The upload's ID.
    pub multipart_upload_id: String,
    /// The size in bytes of each part but the last.
    pub part_size_in_bytes: u64,
    /// The parts received, by range.
    pub parts: Vec<PartListElement>,
    /// The vault's ARN.
    #[serde(rename = "VaultARN")]
    pub vault_arn: String,
}

/// The body of InitiateJob: the bare parameters. Nothing is required here, so that the endpoint can say what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobParameters {
    /// The archive; required for archive and select jobs, an error for inventories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_id: Option<String>,
    /// A description of the job: at most 1,024 printable ASCII characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The format of the inventory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<InventoryFormat>,
    /// What of the inventory is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory_retrieval_parameters: Option<InventoryFilter>,
    /// Where a select job's output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_location: Option<OutputLocation>,
    /// The bytes of the archive wanted: `first-last`, inclusive, megabyte aligned; all if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieval_byte_range: Option<String>,
    /// What a select job asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_parameters: Option<SelectParameters>,
    /// The topic that is told of the job's end.
    #[serde(rename = "SNSTopic", skip_serializing_if = "Option::is_none")]
    pub sns_topic: Option<String>,
    /// How fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// What the job does; required.
    #[serde(rename = "Type", skip_serializing_if = "Option::is_none")]
    pub job_type: Option<JobType>,
}

/// What of an inventory InitiateJob asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InventoryFilter {
    /// Archives created before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date: Option<String>,
    /// At most this many archives; a decimal number of at least 1.
    #[serde(deserialize_with = "text_or_number", skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Where the job before this one stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Archives created at this time or after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_date: Option<String>,
}

/// What of an inventory a job was asked for, in its description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InventoryJobParameters {
    /// Archives created before this time.
    pub end_date: Option<String>,
    /// The format of the output.
    pub format: Option<InventoryFormat>,
    /// At most this many archives.
    #[serde(deserialize_with = "text_or_number")]
    pub limit: Option<String>,
    /// Once completed: where the next job goes on; none when nothing is left.
    pub marker: Option<String>,
    /// Archives created at this time or after it.
    pub start_date: Option<String>,
}

/// A job (DescribeJob, ListJobs, notifications). Members are in alphabetical order, as the service writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobDescription {
    /// What it does.
    pub action: Action,
    /// The archive; none for inventories.
    pub archive_id: Option<String>,
    /// The tree hash of the whole archive.
    #[serde(rename = "ArchiveSHA256TreeHash")]
    pub archive_tree_hash: Option<TreeHash>,
    /// The size in bytes of the whole archive.
    pub archive_size_in_bytes: Option<u64>,
    /// Whether it has ended, well or not.
    pub completed: bool,
    /// When it ended.
    pub completion_date: Option<Date>,
    /// When it was initiated.
    pub creation_date: Date,
    /// What of the inventory it retrieves; none for archives.
    pub inventory_retrieval_parameters: Option<InventoryJobParameters>,
    /// The size in bytes of the inventory, once completed.
    pub inventory_size_in_bytes: Option<u64>,
    /// The description given.
    pub job_description: Option<String>,
    /// Its ID.
    pub job_id: String,
    /// Where a select job's output goes.
    pub job_output_path: Option<String>,
    /// Where a select job's output goes, as asked.
    pub output_location: Option<OutputLocation>,
    /// The bytes of the archive it retrieves: `first-last`, inclusive.
    pub retrieval_byte_range: Option<String>,
    /// What a select job asks.
    pub select_parameters: Option<SelectParameters>,
    /// The tree hash of the bytes it retrieves, when they are tree-hash aligned.
    #[serde(rename = "SHA256TreeHash")]
    pub tree_hash: Option<TreeHash>,
    /// The topic that is told of its end.
    #[serde(rename = "SNSTopic")]
    pub sns_topic: Option<String>,
    /// How far it has come.
    pub status_code: StatusCode,
    /// The same in words.
    pub status_message: Option<String>,
    /// How fast it is.
    pub tier: Option<Tier>,
    /// The vault's ARN.
    #[serde(rename = "VaultARN")]
    pub vault_arn: String,
}

/// A page of ListJobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobPage {
    /// The jobs.
    pub job_list: Vec<JobDescription>,
    /// Where the next page starts; none on the last page.
    pub marker: Option<String>,
}

/// The body of GetDataRetrievalPolicy and SetDataRetrievalPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DataRetrievalPolicyBody {
    /// The policy; required.
    pub policy: Option<DataRetrievalPolicy>,
}

/// A data retrieval policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DataRetrievalPolicy {
    /// Exactly one rule.
    #[serde(deserialize_with = "null_as_default")]
    pub rules: Vec<DataRetrievalRule>,
}

/// The rule of a data retrieval policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DataRetrievalRule {
    /// The limit of that strategy, at least 1; left out with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_hour: Option<i64>,
    /// What is limited; required.
    pub strategy: Option<Strategy>,
}

/// The answer of ListProvisionedCapacity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProvisionedCapacityList {
    /// The units bought and not expired.
    #[serde(deserialize_with = "null_as_default")]
    pub provisioned_capacity_list: Vec<ProvisionedCapacity>,
}

/// A unit of provisioned capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProvisionedCapacity {
    /// Its ID.
    pub capacity_id: String,
    /// When it expires.
    pub expiration_date: Date,
    /// When it was bought.
    pub start_date: Date,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn round_trip<T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(value: &Value) -> T {
        let read: T = serde_json::from_value(value.clone()).expect("reads");
        assert_eq!(&serde_json::to_value(&read).expect("writes"), value);
        read
    }

    /// Promise: a job is written with every member of the API, explicit nulls included, and is read with nulls left out,
    /// members added, and words never heard of.
    #[test]
    fn jobs() {
        let hash = "9628195fcdbcbbe76cdde932d4646fa7de5f219fb39823836d81f0cc0e18aa67";
        let full = json!({
            "Action": "ArchiveRetrieval", "ArchiveId": "NkbByEejwEggmBz2fTHgJrg0XBoDfjP4q6iu87-TjhqG6eGoOY9Z8i1",
            "ArchiveSHA256TreeHash": hash, "ArchiveSizeInBytes": 16_777_216, "Completed": false,
            "CompletionDate": null, "CreationDate": "2012-05-15T17:21:39.339Z", "InventoryRetrievalParameters": null,
            "InventorySizeInBytes": null, "JobDescription": "My ArchiveRetrieval Job", "JobId": "-HkF9p6",
            "JobOutputPath": null, "OutputLocation": null, "RetrievalByteRange": "0-16777215",
            "SelectParameters": null, "SHA256TreeHash": hash, "SNSTopic": null, "StatusCode": "InProgress",
            "StatusMessage": "Operation in progress.", "Tier": "Bulk",
            "VaultARN": "arn:aws:glacier:us-east-1:012345678901:vaults/examplevault"
        });
        let job: JobDescription = round_trip(&full);
        assert_eq!((job.status_code, job.tier), (StatusCode::InProgress, Some(Tier::Bulk)));

        let sparse = json!({
            "Action": "Teleport", "Completed": true, "CreationDate": "2012-05-15T17:21:39Z", "JobId": "j", "New": 1,
            "StatusCode": "Succeeded", "Tier": "Instant", "VaultARN": "arn",
            "InventoryRetrievalParameters": {"Format": "JSON", "Limit": 5}
        });
        let job: JobDescription = serde_json::from_value(sparse).expect("reads");
        assert_eq!((job.action.as_str(), job.action.is_known()), ("Teleport", false));
        assert_eq!(job.tier, Some(Tier::Unknown("Instant".into())));
        assert_eq!(job.inventory_retrieval_parameters.and_then(|p| p.limit), Some("5".into()));
        assert_eq!(job.completion_date, None);
    }

    /// Promise: job parameters leave out what isn't given, and read explicit nulls like absence.
    #[test]
    fn job_parameters() {
        let parameters = JobParameters { job_type: Some(JobType::InventoryRetrieval), ..Default::default() };
        assert_eq!(serde_json::to_string(&parameters).ok(), Some(r#"{"Type":"inventory-retrieval"}"#.into()));
        let nulls = json!({"Type": "inventory-retrieval", "ArchiveId": null, "InventoryRetrievalParameters": null});
        assert_eq!(serde_json::from_value::<JobParameters>(nulls).ok(), Some(parameters));
        round_trip::<JobParameters>(&json!({
            "ArchiveId": "a", "Description": "d", "Type": "select", "Tier": "Expedited", "SNSTopic": "arn",
            "SelectParameters": {
                "ExpressionType": "SQL", "Expression": "SELECT *",
                "InputSerialization": {"csv": {"FileHeaderInfo": "USE", "Comments": "#", "QuoteEscapeCharacter": "\"",
                    "RecordDelimiter": "\n", "FieldDelimiter": ",", "QuoteCharacter": "\""}},
                "OutputSerialization": {"csv": {"QuoteFields": "ALWAYS", "QuoteEscapeCharacter": "\"",
                    "RecordDelimiter": "\n", "FieldDelimiter": ",", "QuoteCharacter": "\""}}
            },
            "OutputLocation": {"S3": {
                "BucketName": "b", "Prefix": "p", "CannedACL": "private", "StorageClass": "STANDARD",
                "Encryption": {"EncryptionType": "aws:kms", "KMSKeyId": "k", "KMSContext": "c"},
                "AccessControlList": [{"Permission": "READ", "Grantee": {"Type": "CanonicalUser", "DisplayName": "n",
                    "URI": "u", "ID": "i", "EmailAddress": "e"}}],
                "Tagging": {"k": "v"}, "UserMetadata": {"k": "v"}
            }}
        }));
    }

    /// Promise: vaults, uploads, parts, locks, tags, policies, notifications and capacity have the names and nulls of
    /// the API, and the markers of last pages are explicit nulls.
    #[test]
    fn other_bodies() {
        let arn = "arn:aws:glacier:us-east-1:012345678901:vaults/v";
        let date = "2012-02-20T17:01:45.198Z";
        round_trip::<VaultPage>(
            &json!({"Marker": null, "VaultList": [{"CreationDate": date, "LastInventoryDate": null,
            "NumberOfArchives": 0, "SizeInBytes": null, "VaultARN": arn, "VaultName": "v"}]}),
        );
        round_trip::<UploadPage>(&json!({"Marker": "m", "UploadsList": [{"ArchiveDescription": null,
            "CreationDate": date, "MultipartUploadId": "u", "PartSizeInBytes": 1_048_576, "VaultARN": arn}]}));
        round_trip::<PartPage>(&json!({"ArchiveDescription": "d", "CreationDate": date, "Marker": null,
            "MultipartUploadId": "u", "PartSizeInBytes": 4_194_304, "VaultARN": arn, "Parts": [{
            "RangeInBytes": "0-4194303", "SHA256TreeHash": "0".repeat(64)}]}));
        round_trip::<JobPage>(&json!({"JobList": [], "Marker": null}));
        let lock: VaultLock = round_trip(&json!({"Policy": "{}", "State": "Locked", "CreationDate": date}));
        assert_eq!(lock.state, LockState::Locked);
        round_trip::<VaultPolicy>(&json!({"Policy": "{}"}));
        round_trip::<Tags>(&json!({"Tags": {"k": "v"}}));
        round_trip::<TagKeys>(&json!({"TagKeys": ["k"]}));
        let events = json!({"SNSTopic": "arn", "Events": ["ArchiveRetrievalCompleted", "InventoryRetrievalCompleted"]});
        let config: NotificationConfig = round_trip(&events);
        assert!(config.events.iter().flatten().all(NotificationEvent::is_known));
        round_trip::<DataRetrievalPolicyBody>(&json!({"Policy": {"Rules": [{"Strategy": "None"}]}}));
        let rule = json!({"Policy": {"Rules": [{"BytesPerHour": i64::MAX, "Strategy": "BytesPerHour"}]}});
        round_trip::<DataRetrievalPolicyBody>(&rule);
        round_trip::<ProvisionedCapacityList>(&json!({"ProvisionedCapacityList": [{"CapacityId": "c",
            "ExpirationDate": date, "StartDate": date}]}));
    }

    /// Promise: dates are written with exactly three digits, truncated, and read with none to nine and any offset.
    #[test]
    fn dates() {
        for (text, written) in [
            ("2013-03-20T17:03:43Z", "2013-03-20T17:03:43.000Z"),
            ("2013-03-20T17:03:43.2219999Z", "2013-03-20T17:03:43.221Z"),
            ("2013-03-20T19:03:43.5+02:00", "2013-03-20T17:03:43.500Z"),
        ] {
            assert_eq!(parse_date(text).map(|date| Date(date).to_string()), Some(written.into()), "{text}");
        }
        for bad in ["", "2013-03-20", "yesterday", "2013-02-30T00:00:00Z"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }
}
