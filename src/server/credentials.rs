//! The endpoint's own key: random, made at the first start, kept in `DIR/credentials` in the format that AWS tools read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::Rng;

use crate::glacier::sigv4::Credentials;

/// The file's name in the data directory.
pub(super) const FILE: &str = "credentials";
/// The profile in it.
const PROFILE: &str = "glacierfs";

/// Reads the key of the data directory `data`, or makes and stores one (mode 0600, on stable storage before it is used).
/// A file without a usable `[glacierfs]` profile is an error of kind `InvalidData`, never overwritten.
pub(super) fn load_or_create(data: &Path) -> io::Result<Credentials> {
    let path = data.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).ok_or_else(|| {
            let message = format!(
                "{} has no [{PROFILE}] profile with aws_access_key_id and aws_secret_access_key; restore it, or remove \
                 the file to have a new key made",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, message)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(data, &path),
        Err(error) => Err(error),
    }
}

fn create(data: &Path, path: &Path) -> io::Result<Credentials> {
    let key = random();
    let temporary = data.join(format!("{FILE}.new"));
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    write!(file, "[{PROFILE}]\naws_access_key_id = {}\naws_secret_access_key = {}\n", key.access_key, key.secret_key)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(data)?.sync_all()?;
    Ok(key)
}

/// A key in the shapes of AWS's: 20 and 40 characters.
fn random() -> Credentials {
    const KEY: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const SECRET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let mut bytes = [0u8; 56];
    rand::rng().fill_bytes(&mut bytes);
    // Both alphabets' lengths divide 256, so every character is equally likely.
    let pick = |alphabet: &[u8], bytes: &[u8]| -> String {
        bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
    };
    Credentials {
        access_key: format!("AKIA{}", pick(KEY, &bytes[..16])),
        secret_key: pick(SECRET, &bytes[16..]),
        session_token: None,
    }
}

/// The key of the profile in a shared-credentials file.
pub(super) fn parse(text: &str) -> Option<Credentials> {
    let (mut here, mut access_key, mut secret_key) = (false, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(profile) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            here = profile.trim() == PROFILE;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| here) {
            match name.trim() {
                "aws_access_key_id" => access_key = Some(value.trim().to_owned()),
                "aws_secret_access_key" => secret_key = Some(value.trim().to_owned()),
                _ => {}
            }
        }
    }
    let usable = |value: &String| !value.is_empty();
    Some(Credentials {
        access_key: access_key.filter(usable)?,
        secret_key: secret_key.filter(usable)?,
        session_token: None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Promise: the key is made once, private, and kept; a broken file is named, not replaced.
    #[test]
    fn made_once_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = load_or_create(dir.path()).expect("a key");
        assert_eq!((key.access_key.len(), key.secret_key.len()), (20, 40));
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
        assert!(load_or_create(dir.path()).expect("the same key") == key);
        fs::write(&path, "[default]\naws_access_key_id = X\naws_secret_access_key = Y\n").expect("written");
        let error = load_or_create(dir.path()).expect_err("no profile");
        assert!(error.to_string().contains("no [glacierfs] profile"), "{error}");
        assert!(fs::read_to_string(&path).expect("kept").contains("[default]"));
    }
}
