//! What must hold for whatever is in another tool's file: for a property test here, and for the fuzz target in `fuzz/`. Not in
//! the program.

use super::mt_aws;
use crate::glacier::description::Origin;
use crate::glacier::description::safe_path;

/// mt-aws-glacier's journals: no path leads out of a vault, no archive comes twice, and sizes are an archive's.
pub fn journal(bytes: &[u8]) {
    let Ok(import) = mt_aws::read(bytes) else { return };
    let mut seen = std::collections::HashSet::new();
    for named in &import.named {
        assert!(!named.archive_id.is_empty() && seen.insert(&named.archive_id), "{named:?}");
        assert!(named.archive.is_none_or(|(size, ..)| size > 0), "{named:?}");
        let [path] = &named.paths[..] else { panic!("{named:?}") };
        assert_eq!(safe_path(path, Origin::Own).as_deref(), Some(&path[..]));
    }
    assert!(import.problems.len() as u64 <= import.unreadable);
}
