//! The token of the admin routes: random, made at the first start with `--admin`, kept in `DIR/admin-token`.

use std::fs;
use std::io;
use std::path::Path;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use rand::Rng;
use sha2::{Digest, Sha256};

use crate::glacier::error::{ErrorCode, ServiceError};
use crate::server::private;

/// The file's name in the data directory.
pub(in crate::server) const FILE: &str = "admin-token";

/// What requests of the admin routes are authorized with.
#[derive(Clone)]
pub(in crate::server) struct Token(String);

impl Token {
    /// Reads the token of the data directory, or makes and stores one. Blocks.
    pub fn load_or_create(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) if text.trim().len() >= 32 => Ok(Token(text.trim().to_owned())),
            Ok(_) => {
                let message = format!(
                    "{} holds no token of at least 32 characters; remove the file to have a new one made",
                    path.display()
                );
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = [0; 32];
                rand::rng().fill_bytes(&mut bytes);
                let token = hex::encode(bytes);
                private::write(data, FILE, &format!("{token}\n"))?;
                Ok(Token(token))
            }
            Err(error) => Err(error),
        }
    }

    /// The token itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request has the token. Nothing else, a good signature included, stands for it.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), ServiceError> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        // Digests are compared, so that the time tells nothing about the token.
        let digest = |token: &str| Sha256::digest(token.as_bytes());
        match given {
            Some(given) if digest(given.trim()) == digest(&self.0) => Ok(()),
            _ => Err(ServiceError::new(
                ErrorCode::AccessDenied,
                format!(
                    "This needs the header Authorization: Bearer TOKEN, with the token in {FILE} of the data directory."
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Promise: the token is made once, private, and kept; a file without one is named, not replaced; and only the whole
    /// token after `Bearer` is good.
    #[test]
    fn made_once_and_checked() {
        let dir = tempfile::tempdir().expect("a directory");
        let token = Token::load_or_create(dir.path()).expect("a token");
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
        assert_eq!(Token::load_or_create(dir.path()).expect("the same").0, token.0);
        let check = |value: String| {
            let value = value.parse().expect("a header");
            token.check(&HeaderMap::from_iter([(AUTHORIZATION, value)])).is_ok()
        };
        let (good, short) = (token.as_str(), &token.as_str()[1..]);
        assert!(check(format!("Bearer {good}")));
        for bad in [good.to_owned(), format!("Basic {good}"), format!("Bearer {short}"), "Bearer ".to_owned()] {
            assert!(!check(bad));
        }
        assert!(token.check(&HeaderMap::new()).is_err());
        fs::write(&path, "short\n").expect("written");
        let error = Token::load_or_create(dir.path()).map(drop).expect_err("no token");
        assert!(error.to_string().contains("admin-token holds no token"), "{error}");
    }
}
