//! What a message says: a job and its vault, by the description of the job that the service publishes (developer guide,
//! "Configuring Vault Notifications"), in the envelope of SNS or, with raw delivery, without one.

use serde::Deserialize;

/// The longest message that is read, in bytes; the service's have some 1,000.
const LONGEST: usize = 64 << 10;

/// A job that may have ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hint {
    /// The vault's name.
    pub vault: String,
    /// The service's name for the job.
    pub job_id: String,
}

/// The envelope, or what is in it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    message: Option<String>,
    #[serde(rename = "VaultARN")]
    vault_arn: Option<String>,
    job_id: Option<String>,
}

/// The job that a message names; `None` when it is about something else.
pub(super) fn parse(text: &str) -> Option<Hint> {
    let outer = body(text)?;
    let Body { vault_arn, job_id, .. } = match &outer.message {
        Some(inner) => body(inner)?,
        None => outer,
    };
    // arn:PARTITION:glacier:REGION:ACCOUNT:vaults/NAME
    let arn = vault_arn?;
    let mut parts = arn.splitn(6, ':');
    let is_vaults = (parts.next(), parts.nth(1)) == (Some("arn"), Some("glacier"));
    let name = parts.nth(2)?.strip_prefix("vaults/")?;
    let hint = Hint { vault: name.to_owned(), job_id: job_id? };
    (is_vaults && !hint.vault.is_empty() && !hint.job_id.is_empty()).then_some(hint)
}

fn body(text: &str) -> Option<Body> {
    (text.len() <= LONGEST).then(|| serde_json::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the service publishes it.
    const RAW: &str = r#"{"Action":"ArchiveRetrieval","ArchiveId":"a","ArchiveSHA256TreeHash":null,"Completed":true,
        "CompletionDate":"2026-01-02T03:04:05.000Z","JobId":"j-1","RetrievalByteRange":null,"StatusCode":"Succeeded",
        "VaultARN":"arn:aws:glacier:us-east-1:000000000000:vaults/my.vault"}"#;

    fn wrapped(message: &str) -> String {
        serde_json::json!({"Type": "Notification", "MessageId": "m", "Message": message, "Signature": "s"}).to_string()
    }

    /// Promise: the job is found in the envelope of SNS and without it.
    #[test]
    fn jobs_are_found() {
        let hint = Some(Hint { vault: "my.vault".to_owned(), job_id: "j-1".to_owned() });
        assert_eq!(parse(RAW), hint);
        assert_eq!(parse(&wrapped(RAW)), hint);
        assert_eq!(parse(&RAW.replace("arn:aws:", "arn:aws-cn:")), hint);
    }

    /// Promise: what isn't about a job is nothing, whatever its form and size.
    #[test]
    fn anything_else_is_nothing() {
        let others = [
            String::new(),
            "hello".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "[".repeat(1 << 20),
            format!("{{\"a\":{}", "[".repeat(30_000)),
            wrapped(&wrapped(RAW)),
            RAW.replace("\"j-1\"", "7"),
            RAW.replace("\"j-1\"", "\"\""),
            RAW.replace("\"j-1\"", "null"),
            RAW.replace("vaults/my.vault", "vaults/"),
            RAW.replace("vaults/", "archives/"),
            RAW.replace(":glacier:", ":s3:"),
            RAW.replace("\"a\"", &format!("\"{}\"", "x".repeat(LONGEST))),
            r#"{"Records":[{"eventName":"ObjectCreated:Put"}]}"#.to_owned(),
        ];
        for text in others {
            assert_eq!(parse(&text), None, "{text:.100}");
        }
    }
}
