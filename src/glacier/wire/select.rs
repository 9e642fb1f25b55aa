//! The parameters of select jobs: queries over an archive, with their output in S3.
//!
//! The service has withdrawn them, but descriptions of old jobs and strict clients still have these members. Nothing is
//! required here; what isn't given is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a select job asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SelectParameters {
    /// The query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Its language: `SQL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression_type: Option<String>,
    /// How the archive is to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_serialization: Option<InputSerialization>,
    /// How the output is to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_serialization: Option<OutputSerialization>,
}

/// How a select job reads the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputSerialization {
    /// As CSV, the only way there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvInput>,
}

/// How a select job reads CSV.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CsvInput {
    /// What starts a comment line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comments: Option<String>,
    /// What stands between fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_delimiter: Option<String>,
    /// What the first line is: `USE`, `IGNORE` or `NONE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_header_info: Option<String>,
    /// What quotes a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_character: Option<String>,
    /// What escapes a quote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_escape_character: Option<String>,
    /// What ends a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_delimiter: Option<String>,
}

/// How a select job writes its output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputSerialization {
    /// As CSV, the only way there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvOutput>,
}

/// How a select job writes CSV.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CsvOutput {
    /// What stands between fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_delimiter: Option<String>,
    /// What quotes a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_character: Option<String>,
    /// What escapes a quote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_escape_character: Option<String>,
    /// When fields are quoted: `ALWAYS` or `ASNEEDED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_fields: Option<String>,
    /// What ends a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_delimiter: Option<String>,
}

/// Where a select job's output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputLocation {
    /// To S3, the only place there is.
    #[serde(rename = "S3", skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Location>,
}

/// Where in S3 a select job's output goes, and how it is kept there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct S3Location {
    /// Who may do what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_control_list: Option<Vec<Grant>>,
    /// The bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_name: Option<String>,
    /// A canned access control list.
    #[serde(rename = "CannedACL", skip_serializing_if = "Option::is_none")]
    pub canned_acl: Option<String>,
    /// How it is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// What its keys begin with; at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `STANDARD`, `REDUCED_REDUNDANCY` or `STANDARD_IA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tagging: Option<BTreeMap<String, String>>,
    /// User metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_metadata: Option<BTreeMap<String, String>>,
}

/// How S3 encrypts a select job's output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Encryption {
    /// `aws:kms` or `AES256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_type: Option<String>,
    /// The encryption context of the key.
    #[serde(rename = "KMSContext", skip_serializing_if = "Option::is_none")]
    pub kms_context: Option<String>,
    /// The key.
    #[serde(rename = "KMSKeyId", skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
}

/// A grant on a select job's output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Grant {
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grantee: Option<Grantee>,
    /// What.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}

/// Who gets a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Grantee {
    /// A name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
    /// A canonical user ID.
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which of the other members counts; required.
    #[serde(rename = "Type", skip_serializing_if = "Option::is_none")]
    pub grantee_type: Option<String>,
    /// A group's URI.
    #[serde(rename = "URI", skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}
