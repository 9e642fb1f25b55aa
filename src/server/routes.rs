//! From method and raw path to the operation that is meant. Paths are taken apart before anything in them is decoded, so
//! that an escaped slash stays in its segment.

use http::Method;
use percent_encoding::percent_decode_str;

use super::error::{bad_request, invalid};
use super::request::Query;
use crate::glacier::error::ServiceError;

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The first segment: 12 digits, or `-` for the caller's account; not checked yet.
    pub account: String,
    pub operation: Operation,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ListVaults,
    GetDataRetrievalPolicy,
    SetDataRetrievalPolicy,
    ListProvisionedCapacity,
    PurchaseProvisionedCapacity,
    /// Something about the vault of this name, which needn't be a valid one.
    Vault(String, VaultOperation),
}

/// What is asked of a vault. Strings are the IDs in the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum VaultOperation {
    Create,
    Delete,
    Describe,
    UploadArchive,
    DeleteArchive(String),
    InitiateMultipartUpload,
    ListMultipartUploads,
    UploadPart(String),
    ListParts(String),
    CompleteMultipartUpload(String),
    AbortMultipartUpload(String),
    InitiateJob,
    ListJobs,
    DescribeJob(String),
    GetJobOutput(String),
    SetNotifications,
    GetNotifications,
    DeleteNotifications,
    SetAccessPolicy,
    GetAccessPolicy,
    DeleteAccessPolicy,
    InitiateLock,
    GetLock,
    AbortLock,
    CompleteLock(String),
    AddTags,
    ListTags,
    RemoveTags,
}

/// The operations that a vault's policies can be about: all that [`VaultOperation::name`] names, less CreateVault, which
/// comes before any policy.
pub(super) const VAULT_ACTIONS: [&str; 27] = [
    "DeleteVault",
    "DescribeVault",
    "UploadArchive",
    "DeleteArchive",
    "InitiateMultipartUpload",
    "ListMultipartUploads",
    "UploadMultipartPart",
    "ListParts",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "InitiateJob",
    "ListJobs",
    "DescribeJob",
    "GetJobOutput",
    "SetVaultNotifications",
    "GetVaultNotifications",
    "DeleteVaultNotifications",
    "SetVaultAccessPolicy",
    "GetVaultAccessPolicy",
    "DeleteVaultAccessPolicy",
    "InitiateVaultLock",
    "GetVaultLock",
    "AbortVaultLock",
    "CompleteVaultLock",
    "AddTagsToVault",
    "ListTagsForVault",
    "RemoveTagsFromVault",
];

impl VaultOperation {
    /// The name in the documentation, and in policies after `glacier:`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create => "CreateVault",
            Self::Delete => "DeleteVault",
            Self::Describe => "DescribeVault",
            Self::UploadArchive => "UploadArchive",
            Self::DeleteArchive(_) => "DeleteArchive",
            Self::InitiateMultipartUpload => "InitiateMultipartUpload",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::UploadPart(_) => "UploadMultipartPart",
            Self::ListParts(_) => "ListParts",
            Self::CompleteMultipartUpload(_) => "CompleteMultipartUpload",
            Self::AbortMultipartUpload(_) => "AbortMultipartUpload",
            Self::InitiateJob => "InitiateJob",
            Self::ListJobs => "ListJobs",
            Self::DescribeJob(_) => "DescribeJob",
            Self::GetJobOutput(_) => "GetJobOutput",
            Self::SetNotifications => "SetVaultNotifications",
            Self::GetNotifications => "GetVaultNotifications",
            Self::DeleteNotifications => "DeleteVaultNotifications",
            Self::SetAccessPolicy => "SetVaultAccessPolicy",
            Self::GetAccessPolicy => "GetVaultAccessPolicy",
            Self::DeleteAccessPolicy => "DeleteVaultAccessPolicy",
            Self::InitiateLock => "InitiateVaultLock",
            Self::GetLock => "GetVaultLock",
            Self::AbortLock => "AbortVaultLock",
            Self::CompleteLock(_) => "CompleteVaultLock",
            Self::AddTags => "AddTagsToVault",
            Self::ListTags => "ListTagsForVault",
            Self::RemoveTags => "RemoveTagsFromVault",
        }
    }
}

/// The operations that are about no vault that exists.
const OTHER_ACTIONS: [&str; 6] = [
    "CreateVault",
    "ListVaults",
    "GetDataRetrievalPolicy",
    "SetDataRetrievalPolicy",
    "ListProvisionedCapacity",
    "PurchaseProvisionedCapacity",
];

impl Operation {
    /// Whether the API has an operation of this name.
    pub fn is_name(name: &str) -> bool {
        VAULT_ACTIONS.contains(&name) || OTHER_ACTIONS.contains(&name)
    }

    /// The name in the documentation.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::ListVaults => "ListVaults",
            Operation::GetDataRetrievalPolicy => "GetDataRetrievalPolicy",
            Operation::SetDataRetrievalPolicy => "SetDataRetrievalPolicy",
            Operation::ListProvisionedCapacity => "ListProvisionedCapacity",
            Operation::PurchaseProvisionedCapacity => "PurchaseProvisionedCapacity",
            Operation::Vault(_, operation) => operation.name(),
        }
    }

    /// Whether the body is the data of an archive or a part, which is streamed.
    pub fn is_upload(&self) -> bool {
        matches!(self, Operation::Vault(_, VaultOperation::UploadArchive | VaultOperation::UploadPart(_)))
    }
}

impl Route {
    /// Finds the operation. An error when there is none for this method, path and query.
    pub fn find(method: &Method, path: &str, query: &Query<'_>) -> Result<Self, ServiceError> {
        use Operation::*;
        use VaultOperation::*;

        let segments: Vec<&str> = path.split('/').collect();
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let vault = |name: &str, operation| Vault(decode(name), operation);
        let id = |text: &str| decode(text);
        let (account, rest) = match &segments[..] {
            ["", account, rest @ ..] if !account.is_empty() && segments.iter().skip(1).all(|s| !s.is_empty()) => {
                (decode(account), rest)
            }
            _ => return Err(Self::none(method, path)),
        };
        let operation = match (method.as_str(), rest) {
            ("GET", ["vaults"]) => ListVaults,
            ("PUT", ["vaults", name]) => vault(name, Create),
            ("DELETE", ["vaults", name]) => vault(name, Delete),
            ("GET", ["vaults", name]) => vault(name, Describe),
            ("POST", ["vaults", name, "archives"]) => vault(name, UploadArchive),
            ("DELETE", ["vaults", name, "archives", archive]) => vault(name, DeleteArchive(id(archive))),
            ("POST", ["vaults", name, "multipart-uploads"]) => vault(name, InitiateMultipartUpload),
            ("GET", ["vaults", name, "multipart-uploads"]) => vault(name, ListMultipartUploads),
            ("PUT", ["vaults", name, "multipart-uploads", upload]) => vault(name, UploadPart(id(upload))),
            ("GET", ["vaults", name, "multipart-uploads", upload]) => vault(name, ListParts(id(upload))),
            ("POST", ["vaults", name, "multipart-uploads", upload]) => vault(name, CompleteMultipartUpload(id(upload))),
            ("DELETE", ["vaults", name, "multipart-uploads", upload]) => vault(name, AbortMultipartUpload(id(upload))),
            ("POST", ["vaults", name, "jobs"]) => vault(name, InitiateJob),
            ("GET", ["vaults", name, "jobs"]) => vault(name, ListJobs),
            ("GET", ["vaults", name, "jobs", job]) => vault(name, DescribeJob(id(job))),
            ("GET", ["vaults", name, "jobs", job, "output"]) => vault(name, GetJobOutput(id(job))),
            ("PUT", ["vaults", name, "notification-configuration"]) => vault(name, SetNotifications),
            ("GET", ["vaults", name, "notification-configuration"]) => vault(name, GetNotifications),
            ("DELETE", ["vaults", name, "notification-configuration"]) => vault(name, DeleteNotifications),
            ("PUT", ["vaults", name, "access-policy"]) => vault(name, SetAccessPolicy),
            ("GET", ["vaults", name, "access-policy"]) => vault(name, GetAccessPolicy),
            ("DELETE", ["vaults", name, "access-policy"]) => vault(name, DeleteAccessPolicy),
            ("POST", ["vaults", name, "lock-policy"]) => vault(name, InitiateLock),
            ("GET", ["vaults", name, "lock-policy"]) => vault(name, GetLock),
            ("DELETE", ["vaults", name, "lock-policy"]) => vault(name, AbortLock),
            ("POST", ["vaults", name, "lock-policy", lock]) => vault(name, CompleteLock(id(lock))),
            ("POST", ["vaults", name, "tags"]) => vault(name, change_of_tags(query)?),
            ("GET", ["vaults", name, "tags"]) => vault(name, ListTags),
            ("GET", ["policies", "data-retrieval"]) => GetDataRetrievalPolicy,
            ("PUT", ["policies", "data-retrieval"]) => SetDataRetrievalPolicy,
            ("GET", ["provisioned-capacity"]) => ListProvisionedCapacity,
            ("POST", ["provisioned-capacity"]) => PurchaseProvisionedCapacity,
            _ => return Err(Self::none(method, path)),
        };
        Ok(Route { account, operation })
    }

    fn none(method: &Method, path: &str) -> ServiceError {
        bad_request(format!("No operation of the API is {method} {path}"))
    }
}

/// What a POST to a vault's tags does, which its query says.
fn change_of_tags(query: &Query<'_>) -> Result<VaultOperation, ServiceError> {
    match query.get("operation").as_deref() {
        Some("add") => Ok(VaultOperation::AddTags),
        Some("remove") => Ok(VaultOperation::RemoveTags),
        Some(sent) => Err(invalid(format!("Invalid operation: {sent}. Allowed are add and remove."))),
        None => Err(ServiceError::missing_parameter("operation")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: segments are decoded one by one, and a path that is only nearly right is refused.
    #[test]
    fn finding() {
        let find = |method: Method, path: &str| {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            Route::find(&method, path, &Query::new(query)).map_err(|error| error.status)
        };
        assert_eq!(
            find(Method::GET, "/-/vaults/a%2Fb%3Ac"),
            Ok(Route { account: "-".into(), operation: Operation::Vault("a/b:c".into(), VaultOperation::Describe) })
        );
        let upload = find(Method::PUT, "/000000000000/vaults/v/multipart-uploads/u").expect("an operation");
        assert!(upload.operation.is_upload());
        for path in
            ["", "/", "/-", "/vaults/v", "/-/vaults/", "/-/vaults/v/", "//vaults/v", "/-/vaults/v/jobs/j/x", "*"]
        {
            assert_eq!(find(Method::GET, path), Err(400), "{path}");
        }
        assert_eq!(find(Method::PATCH, "/-/vaults/v"), Err(400));
        let tags = |query: &str| find(Method::POST, &format!("/-/vaults/v/tags{query}")).map(|r| r.operation.name());
        assert_eq!(
            (tags("?operation=add"), tags("?operation=remove")),
            (Ok("AddTagsToVault"), Ok("RemoveTagsFromVault"))
        );
        assert_eq!((tags(""), tags("?operation=Add")), (Err(400), Err(400)));
    }

    /// Promise: all 33 operations of the API are found under their names, and policies know those of them that are about
    /// vaults that exist.
    #[test]
    fn index() {
        let index = "CreateVault PUT V|DeleteVault DELETE V|DescribeVault GET V|ListVaults GET /-/vaults\
            |SetVaultNotifications PUT V/notification-configuration\
            |GetVaultNotifications GET V/notification-configuration\
            |DeleteVaultNotifications DELETE V/notification-configuration\
            |SetVaultAccessPolicy PUT V/access-policy|GetVaultAccessPolicy GET V/access-policy\
            |DeleteVaultAccessPolicy DELETE V/access-policy|InitiateVaultLock POST V/lock-policy\
            |GetVaultLock GET V/lock-policy|AbortVaultLock DELETE V/lock-policy|CompleteVaultLock POST V/lock-policy/x\
            |AddTagsToVault POST V/tags?operation=add|ListTagsForVault GET V/tags\
            |RemoveTagsFromVault POST V/tags?operation=remove|DeleteArchive DELETE V/archives/x\
            |UploadArchive POST V/archives|InitiateMultipartUpload POST V/multipart-uploads\
            |ListMultipartUploads GET V/multipart-uploads|UploadMultipartPart PUT V/multipart-uploads/x\
            |ListParts GET V/multipart-uploads/x|CompleteMultipartUpload POST V/multipart-uploads/x\
            |AbortMultipartUpload DELETE V/multipart-uploads/x|InitiateJob POST V/jobs|DescribeJob GET V/jobs/x\
            |ListJobs GET V/jobs|GetJobOutput GET V/jobs/x/output|GetDataRetrievalPolicy GET /-/policies/data-retrieval\
            |SetDataRetrievalPolicy PUT /-/policies/data-retrieval|ListProvisionedCapacity GET /-/provisioned-capacity\
            |PurchaseProvisionedCapacity POST /-/provisioned-capacity";
        let mut actions = Vec::new();
        for line in index.split('|') {
            let [name, method, target] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let target = target.replacen('V', "/-/vaults/v", 1);
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let method = method.parse().expect("a method");
            let route = Route::find(&method, path, &Query::new(query)).expect(line);
            assert_eq!(route.operation.name(), name);
            if matches!(route.operation, Operation::Vault(..)) && name != "CreateVault" {
                actions.push(name);
            }
        }
        let mut known = VAULT_ACTIONS;
        actions.sort_unstable();
        known.sort_unstable();
        assert_eq!((index.split('|').count(), actions.as_slice()), (33, &known[..]));
    }
}
