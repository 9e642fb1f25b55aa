//! The keys of the endpoint. Its own are random, made when an account is first served, and kept in `DIR/credentials` in
//! the format that AWS tools read; others are brought in a file (`keyfile`).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rand::Rng;

use super::keyfile::KeyFile;
use super::policy::Caller;
use super::private;
use crate::glacier::sigv4::Credentials;

/// The file's name in the data directory.
pub(super) const FILE: &str = "credentials";
/// The profile of the first account in it, and how the others' begin.
const PROFILE: &str = "glacierfs";

/// The keys of the endpoint: one of its own an account, and those that were brought.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// With its account.
    first: (Caller, Credentials),
    others: Vec<(Caller, Credentials)>,
    brought: Vec<(Caller, Credentials)>,
}

impl Keys {
    fn own(&self) -> impl Iterator<Item = &(Caller, Credentials)> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Adds the keys in a file. The error names the file and the profile whose ID one of the endpoint's own keys has.
    pub fn add(&mut self, file: KeyFile) -> Result<(), String> {
        for key in file.keys {
            let id = &key.credentials.access_key;
            if self.find(id).is_some() {
                return Err(format!(
                    "the credentials in {} are wrong: in the profile [{}], aws_access_key_id is {id}, as in the \
                     endpoint's own {FILE} in its data directory: allowed is any other",
                    file.path.display(),
                    key.profile
                ));
            }
            let account = key.account.map_or_else(|| Arc::clone(self.first_account()), Arc::from);
            self.brought.push((Caller { account, user: key.user.map(Arc::from) }, key.credentials));
        }
        Ok(())
    }

    /// The key with this ID, and whose it is.
    pub fn find(&self, access_key: &str) -> Option<(&Caller, &Credentials)> {
        let mut all = self.own().chain(&self.brought);
        all.find(|(_, key)| key.access_key == access_key).map(|(caller, key)| (caller, key))
    }

    /// The account, if the endpoint has it.
    pub fn account(&self, account: &str) -> Option<&Arc<str>> {
        self.own().chain(&self.brought).map(|(caller, _)| &caller.account).find(|known| ***known == *account)
    }

    /// The first account.
    pub fn first_account(&self) -> &Arc<str> {
        &self.first.0.account
    }

    /// The endpoint's own key of the first account.
    pub fn first(&self) -> &Credentials {
        &self.first.1
    }

    /// The endpoint's own key of an account.
    pub fn of(&self, account: &str) -> Option<&Credentials> {
        self.own().find(|(known, _)| *known.account == *account).map(|(_, key)| key)
    }
}

/// Reads the keys of `accounts` in the data directory `data`, making and storing those that aren't there (mode 0600, on
/// stable storage before they are used). The first account's is the profile `glacierfs`, another's `glacierfs-` and the
/// account. A profile without a usable key is an error of kind `InvalidData`, and so is a file without a `glacierfs`
/// profile; neither is overwritten.
pub(super) fn load_or_create(data: &Path, accounts: &[String]) -> io::Result<Keys> {
    let path = data.join(FILE);
    let (mut text, is_new) = match fs::read_to_string(&path) {
        Ok(text) => (text, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), true),
        Err(error) => return Err(error),
    };
    let broken = |profile: &str| {
        let message = format!(
            "{} has no [{profile}] profile with aws_access_key_id and aws_secret_access_key; restore it, or remove the \
             file to have new keys made",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let (mut keys, stored) = (Vec::new(), text.len());
    for (i, account) in accounts.iter().enumerate() {
        let profile = if i == 0 { PROFILE.to_owned() } else { format!("{PROFILE}-{account}") };
        let key = match parse(&text, &profile) {
            Some(key) => key.ok_or_else(|| broken(&profile))?,
            None if i == 0 && !is_new => return Err(broken(&profile)),
            None => {
                let key = random();
                if !text.is_empty() {
                    text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
                }
                let Credentials { access_key, secret_key, .. } = &key;
                text +=
                    &format!("[{profile}]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n");
                key
            }
        };
        keys.push((Caller { account: Arc::from(account.as_str()), user: None }, key));
    }
    if text.len() > stored {
        private::write(data, FILE, &text)?;
    }
    let mut keys = keys.into_iter();
    let first = keys.next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no account"))?;
    Ok(Keys { first, others: keys.collect(), brought: Vec::new() })
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

/// The key of a profile in a shared-credentials file: `None` when there is no such profile, `Some(None)` when it has no
/// usable key.
pub(super) fn parse(text: &str, profile: &str) -> Option<Option<Credentials>> {
    let (mut here, mut found, mut access_key, mut secret_key) = (false, false, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            here = name.trim() == profile;
            found |= here;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| here) {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim() {
                "aws_access_key_id" => access_key = value,
                "aws_secret_access_key" => secret_key = value,
                _ => {}
            }
        }
    }
    let key = access_key.zip(secret_key);
    let key = key.map(|(access_key, secret_key)| Credentials { access_key, secret_key, session_token: None });
    found.then_some(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Promise: keys are made once, private, and kept; accounts that come later get theirs beside them; a broken file is
    /// named, not replaced.
    #[test]
    fn made_once_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let load = |accounts: &[&str]| {
            let accounts: Vec<_> = accounts.iter().map(|account| (*account).to_owned()).collect();
            load_or_create(dir.path(), &accounts)
        };
        let (one, two) = ("111111111111", "222222222222");
        let keys = load(&[one]).expect("a key");
        let key = keys.first().clone();
        assert_eq!((key.access_key.len(), key.secret_key.len()), (20, 40));
        let path = dir.path().join(FILE);
        let mode = || fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        assert!(load(&[one]).expect("the same key").first() == &key);
        let keys = load(&[one, two]).expect("another key");
        assert!(keys.first() == &key && keys.of(one) == Some(&key) && mode() == 0o600);
        let other = keys.of(two).expect("a key").clone();
        assert!(other != key && keys.find(&other.access_key).is_some_and(|(caller, _)| *caller.account == *two));
        assert!(keys.of("333333333333").is_none() && keys.find("").is_none());
        let text = fs::read_to_string(&path).expect("the file");
        assert!(text.starts_with("[glacierfs]\n") && text.contains("\n\n[glacierfs-222222222222]\n"), "{text}");
        assert!(load(&[one, two]).expect("the same keys").of(two) == Some(&other));
        assert_eq!(fs::read_to_string(&path).expect("unchanged"), text);

        for (bad, accounts, profile) in [
            ("[default]\naws_access_key_id = X\naws_secret_access_key = Y\n", &[one][..], "[glacierfs]"),
            (&text.replace(&other.secret_key, ""), &[one, two], "[glacierfs-222222222222]"),
        ] {
            fs::write(&path, bad).expect("written");
            let error = load(accounts).expect_err("no key").to_string();
            assert!(error.contains(&format!("no {profile} profile")), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("kept"), bad);
        }
    }
}
