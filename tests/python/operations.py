"""All 33 operations of section 2, as requests that are right but for what a test spoils."""

from harness import MIB, hashes, tree_hash

TOPIC = "arn:aws:sns:us-east-1:000000000000:topic"
POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"glacier:DescribeVault",'
    '"Resource":"arn:aws:glacier:us-east-1:000000000000:vaults/*"}]}'
)
EVENTS = ["ArchiveRetrievalCompleted", "InventoryRetrievalCompleted"]

# Name: method, path behind the vault ("V…") or the account, body, headers.
OPERATIONS = {
    "CreateVault": ("PUT", "V", b"", {}),
    "DeleteVault": ("DELETE", "V", b"", {}),
    "DescribeVault": ("GET", "V", b"", {}),
    "ListVaults": ("GET", "/vaults", b"", {}),
    "SetVaultNotifications": ("PUT", "V/notification-configuration", {"SNSTopic": TOPIC, "Events": EVENTS}, {}),
    "GetVaultNotifications": ("GET", "V/notification-configuration", b"", {}),
    "DeleteVaultNotifications": ("DELETE", "V/notification-configuration", b"", {}),
    "SetVaultAccessPolicy": ("PUT", "V/access-policy", {"Policy": POLICY}, {}),
    "GetVaultAccessPolicy": ("GET", "V/access-policy", b"", {}),
    "DeleteVaultAccessPolicy": ("DELETE", "V/access-policy", b"", {}),
    "InitiateVaultLock": ("POST", "V/lock-policy", {"Policy": POLICY}, {}),
    "GetVaultLock": ("GET", "V/lock-policy", b"", {}),
    "AbortVaultLock": ("DELETE", "V/lock-policy", b"", {}),
    "CompleteVaultLock": ("POST", "V/lock-policy/lock", b"", {}),
    "AddTagsToVault": ("POST", "V/tags?operation=add", {"Tags": {"key": "value"}}, {}),
    "ListTagsForVault": ("GET", "V/tags", b"", {}),
    "RemoveTagsFromVault": ("POST", "V/tags?operation=remove", {"TagKeys": ["key"]}, {}),
    "DeleteArchive": ("DELETE", "V/archives/archive", b"", {}),
    "UploadArchive": ("POST", "V/archives", b"data", hashes(b"data")),
    "InitiateMultipartUpload": ("POST", "V/multipart-uploads", b"", {"x-amz-part-size": str(MIB)}),
    "ListMultipartUploads": ("GET", "V/multipart-uploads", b"", {}),
    "UploadMultipartPart": (
        "PUT",
        "V/multipart-uploads/upload",
        b"data",
        hashes(b"data") | {"Content-Range": "bytes 0-3/*"},
    ),
    "ListParts": ("GET", "V/multipart-uploads/upload", b"", {}),
    "CompleteMultipartUpload": (
        "POST",
        "V/multipart-uploads/upload",
        b"",
        {"x-amz-archive-size": "4", "x-amz-sha256-tree-hash": tree_hash(b"data")},
    ),
    "AbortMultipartUpload": ("DELETE", "V/multipart-uploads/upload", b"", {}),
    "InitiateJob": ("POST", "V/jobs", {"Type": "archive-retrieval", "ArchiveId": "archive"}, {}),
    "DescribeJob": ("GET", "V/jobs/job", b"", {}),
    "ListJobs": ("GET", "V/jobs", b"", {}),
    "GetJobOutput": ("GET", "V/jobs/job/output", b"", {}),
    "GetDataRetrievalPolicy": ("GET", "/policies/data-retrieval", b"", {}),
    "SetDataRetrievalPolicy": ("PUT", "/policies/data-retrieval", {"Policy": {"Rules": [{"Strategy": "None"}]}}, {}),
    "ListProvisionedCapacity": ("GET", "/provisioned-capacity", b"", {}),
    "PurchaseProvisionedCapacity": ("POST", "/provisioned-capacity", b"", {}),
}
OF_VAULTS = [name for name, (_, path, _, _) in OPERATIONS.items() if path.startswith("V")]


def ask(endpoint, operation, vault="no-such-vault", account="-", **settings):
    """Sends an operation's request; the answer."""
    method, path, body, headers = OPERATIONS[operation]
    path = path.replace("V", f"/vaults/{vault}", 1) if path.startswith("V") else path
    return endpoint.raw(method, f"/{account}{path}", body, headers, **settings)
