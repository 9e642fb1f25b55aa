//! The API's names of operations, as plans and `glacier:` actions have them, and the one that a request means.

use http::Method;

/// The operation that a request's line asks for; `None` when there is none.
pub(in crate::server) fn name(method: &Method, path: &str, query: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('/').collect();
    let ["", _account, rest @ ..] = &segments[..] else { return None };
    NAMES
        .iter()
        .find(|(name, wanted, pattern)| {
            let matches = pattern.split('/').zip(rest).all(|(pattern, segment)| match pattern {
                "*" => !segment.is_empty(),
                word => word == *segment,
            });
            let tags = match *name {
                "AddTagsToVault" => query.split('&').any(|pair| pair == "operation=add"),
                "RemoveTagsFromVault" => query.split('&').any(|pair| pair == "operation=remove"),
                _ => true,
            };
            *wanted == method.as_str() && pattern.split('/').count() == rest.len() && matches && tags
        })
        .map(|(name, _, _)| *name)
}

/// Whether the API has an operation of this name.
pub(in crate::server) fn is_name(name: &str) -> bool {
    NAMES.iter().any(|(known, _, _)| *known == name)
}

/// All operations with their methods and paths behind the account, in the order of section 2.
const NAMES: [(&str, &str, &str); 33] = [
    ("CreateVault", "PUT", "vaults/*"),
    ("DeleteVault", "DELETE", "vaults/*"),
    ("DescribeVault", "GET", "vaults/*"),
    ("ListVaults", "GET", "vaults"),
    ("SetVaultNotifications", "PUT", "vaults/*/notification-configuration"),
    ("GetVaultNotifications", "GET", "vaults/*/notification-configuration"),
    ("DeleteVaultNotifications", "DELETE", "vaults/*/notification-configuration"),
    ("SetVaultAccessPolicy", "PUT", "vaults/*/access-policy"),
    ("GetVaultAccessPolicy", "GET", "vaults/*/access-policy"),
    ("DeleteVaultAccessPolicy", "DELETE", "vaults/*/access-policy"),
    ("InitiateVaultLock", "POST", "vaults/*/lock-policy"),
    ("GetVaultLock", "GET", "vaults/*/lock-policy"),
    ("AbortVaultLock", "DELETE", "vaults/*/lock-policy"),
    ("CompleteVaultLock", "POST", "vaults/*/lock-policy/*"),
    ("AddTagsToVault", "POST", "vaults/*/tags"),
    ("ListTagsForVault", "GET", "vaults/*/tags"),
    ("RemoveTagsFromVault", "POST", "vaults/*/tags"),
    ("DeleteArchive", "DELETE", "vaults/*/archives/*"),
    ("UploadArchive", "POST", "vaults/*/archives"),
    ("InitiateMultipartUpload", "POST", "vaults/*/multipart-uploads"),
    ("ListMultipartUploads", "GET", "vaults/*/multipart-uploads"),
    ("UploadMultipartPart", "PUT", "vaults/*/multipart-uploads/*"),
    ("ListParts", "GET", "vaults/*/multipart-uploads/*"),
    ("CompleteMultipartUpload", "POST", "vaults/*/multipart-uploads/*"),
    ("AbortMultipartUpload", "DELETE", "vaults/*/multipart-uploads/*"),
    ("InitiateJob", "POST", "vaults/*/jobs"),
    ("DescribeJob", "GET", "vaults/*/jobs/*"),
    ("ListJobs", "GET", "vaults/*/jobs"),
    ("GetJobOutput", "GET", "vaults/*/jobs/*/output"),
    ("GetDataRetrievalPolicy", "GET", "policies/data-retrieval"),
    ("SetDataRetrievalPolicy", "PUT", "policies/data-retrieval"),
    ("ListProvisionedCapacity", "GET", "provisioned-capacity"),
    ("PurchaseProvisionedCapacity", "POST", "provisioned-capacity"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::routes::Route;

    /// Promise: every operation has its name wherever the endpoint finds a route, and nothing else has one.
    #[test]
    fn names_are_those_of_routes() {
        for (expected, method, path) in NAMES {
            let (method, path) = (method.parse().expect("a method"), format!("/-/{}", path.replace('*', "x")));
            let query = match expected {
                "AddTagsToVault" => "a=b&operation=add",
                "RemoveTagsFromVault" => "operation=remove",
                _ => "",
            };
            assert_eq!(name(&method, &path, query), Some(expected));
            assert!(Route::find(&method, &path).is_ok(), "{method} {path}");
            assert_eq!(name(&Method::PATCH, &path, query), None);
            assert_eq!(name(&method, &format!("{path}/"), query), None);
            assert!(is_name(expected));
        }
        assert_eq!(name(&Method::POST, "/-/vaults/v/tags", ""), None);
        assert!(!is_name("uploadarchive") && !is_name("*"));
    }
}
