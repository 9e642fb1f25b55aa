//! What must hold for whatever is in a queue: for a property test here, and for the fuzz target in `fuzz/`. Not in the program.

use super::message;

/// A message: what is taken for a job has a name and a vault, and is the same in an envelope.
pub fn message(text: &str) {
    let Some(hint) = message::parse(text) else { return };
    assert!(!hint.vault.is_empty() && !hint.job_id.is_empty(), "{hint:?}");
    let job = serde_json::json!({
        "JobId": hint.job_id,
        "VaultARN": format!("arn:aws:glacier:r:a:vaults/{}", hint.vault),
    });
    let envelope = serde_json::json!({"Message": job.to_string()});
    for text in [job, envelope].map(|json| json.to_string()) {
        // An envelope of much that has to be escaped may be too long.
        assert!(text.len() > 10_000 || message::parse(&text) == Some(hint.clone()), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Promise: any text, and any that is nearly a message, is survived.
        #[test]
        fn any_message_is_survived(
            text in "\\PC{0,40}", arn in "(arn:\\PC{0,4}:glacier:r:0:vaults/\\PC{0,9})|\\PC{0,20}", job in "\\PC{0,9}", null in any::<bool>(),
        ) {
            let job = serde_json::json!({"VaultARN": arn, "JobId": if null { None } else { Some(job) }, &*text: text});
            message(&text);
            message(&job.to_string());
            message(&serde_json::json!({"Message": job.to_string()}).to_string());
        }
    }
}
