//! From method and raw path to the operation that is meant. Paths are taken apart before anything in them is decoded, so
//! that an escaped slash stays in its segment.

use http::Method;
use percent_encoding::percent_decode_str;

use super::error::bad_request;
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
    /// Something about the vault of this name, which needn't be a valid one.
    Vault(String, VaultOperation),
    /// An operation of the API that the endpoint doesn't serve.
    Unsupported(&'static str),
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
}

impl Operation {
    /// Whether the body is the data of an archive or a part, which is streamed.
    pub fn is_upload(&self) -> bool {
        matches!(self, Operation::Vault(_, VaultOperation::UploadArchive | VaultOperation::UploadPart(_)))
    }
}

impl Route {
    /// Finds the operation. An error when there is none for this method and path.
    pub fn find(method: &Method, path: &str) -> Result<Self, ServiceError> {
        use Operation::{ListVaults, Unsupported, Vault};
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

            ("PUT", ["vaults", _, "notification-configuration"]) => Unsupported("SetVaultNotifications"),
            ("GET", ["vaults", _, "notification-configuration"]) => Unsupported("GetVaultNotifications"),
            ("DELETE", ["vaults", _, "notification-configuration"]) => Unsupported("DeleteVaultNotifications"),
            ("PUT", ["vaults", _, "access-policy"]) => Unsupported("SetVaultAccessPolicy"),
            ("GET", ["vaults", _, "access-policy"]) => Unsupported("GetVaultAccessPolicy"),
            ("DELETE", ["vaults", _, "access-policy"]) => Unsupported("DeleteVaultAccessPolicy"),
            ("POST", ["vaults", _, "lock-policy"]) => Unsupported("InitiateVaultLock"),
            ("GET", ["vaults", _, "lock-policy"]) => Unsupported("GetVaultLock"),
            ("DELETE", ["vaults", _, "lock-policy"]) => Unsupported("AbortVaultLock"),
            ("POST", ["vaults", _, "lock-policy", _]) => Unsupported("CompleteVaultLock"),
            ("POST", ["vaults", _, "tags"]) => Unsupported("AddTagsToVault and RemoveTagsFromVault"),
            ("GET", ["vaults", _, "tags"]) => Unsupported("ListTagsForVault"),
            ("GET", ["policies", "data-retrieval"]) => Unsupported("GetDataRetrievalPolicy"),
            ("PUT", ["policies", "data-retrieval"]) => Unsupported("SetDataRetrievalPolicy"),
            ("GET", ["provisioned-capacity"]) => Unsupported("ListProvisionedCapacity"),
            ("POST", ["provisioned-capacity"]) => Unsupported("PurchaseProvisionedCapacity"),
            _ => return Err(Self::none(method, path)),
        };
        Ok(Route { account, operation })
    }

    fn none(method: &Method, path: &str) -> ServiceError {
        bad_request(format!("No operation of the API is {method} {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: segments are decoded one by one, and a path that is only nearly right is refused.
    #[test]
    fn finding() {
        let find = |method: Method, path: &str| Route::find(&method, path).map_err(|error| error.status);
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
    }
}
