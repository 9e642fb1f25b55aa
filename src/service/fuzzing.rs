//! What must hold for whatever the service says of a job: for a property test here, and for the fuzz targets in `fuzz/`.

use super::glacier::{job, parse_range};
use super::{JobKind, Tier};
use crate::glacier::wire;

/// Jobs as the service describes them: ranges have a first and a last byte in this order, and sizes don't overflow.
pub fn jobs(json: &[u8]) {
    let one = serde_json::from_slice::<wire::JobDescription>(json).into_iter();
    let page = serde_json::from_slice::<wire::JobPage>(json).into_iter().flat_map(|page| page.job_list);
    for described in one.chain(page) {
        let whole = described.archive_size_in_bytes;
        let job = job(described);
        if let JobKind::Archive { range: Some(range), archive_id: _ } = &job.kind {
            let bytes = (range.end() - range.start()).saturating_add(1);
            assert!(range.start() <= range.end() && job.size == Some(bytes), "{job:?}");
        } else if let JobKind::Archive { range: None, archive_id: _ } = &job.kind {
            assert_eq!(job.size, whole);
        }
    }
}

/// `first-last`, as in descriptions of jobs and lists of parts.
pub fn range(text: &str) {
    if let Some(range) = parse_range(text) {
        assert!(range.start() <= range.end());
        assert_eq!(parse_range(&format!("{}-{}", range.start(), range.end())), Some(range));
    }
}

/// Tiers, which people write too.
pub fn tier(text: &str) {
    match text.parse::<Tier>() {
        Ok(tier) => assert!(tier.as_str().eq_ignore_ascii_case(text)),
        Err(message) => assert!(message.contains("allowed is")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Promise: whatever a job is said to be, it is taken without a panic, within the order of its range.
        #[test]
        fn any_job_is_survived(
            action in "ArchiveRetrieval|InventoryRetrieval|Select|\\PC{0,5}", range_text in "[0-9]{0,21}-?[0-9]{0,21}|\\PC{0,9}",
            size in any::<Option<u64>>(), parameters in "null|\\{\"Format\":\"(JSON|CSV)\",\"Limit\":(null|5)\\}", tier_text in "Bulk|bulk|\\PC{0,5}",
        ) {
            let json = format!(
                r#"{{"Action":{action:?},"ArchiveId":"a","ArchiveSizeInBytes":{},"Completed":true,"CreationDate":"2013-03-20T17:03:43Z",
                    "JobId":"j","RetrievalByteRange":{range_text:?},"StatusCode":"Succeeded","Tier":{tier_text:?},
                    "InventoryRetrievalParameters":{parameters},"VaultARN":"arn"}}"#,
                size.map_or("null".to_owned(), |size| size.to_string()),
            );
            jobs(json.as_bytes());
            jobs(format!(r#"{{"JobList":[{json}],"Marker":null}}"#).as_bytes());
            range(&range_text);
            tier(&tier_text);
        }
    }
}
