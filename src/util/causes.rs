//! Errors with what caused them, for a person.

use std::error::Error;

/// `message`, which says of `error` what it says itself, and its causes, each after a colon; a cause whose words the message ends with
/// already is left out.
pub fn append(mut message: String, error: &dyn Error) -> String {
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    message
}
