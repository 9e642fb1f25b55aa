//! Keys that people bring (`serve --credentials FILE`): a file in the format of AWS's shared credentials, in which each
//! profile is a key. It is read at the start only.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::policy::is_account;
use crate::glacier::sigv4::Credentials;

const ID: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";
const ACCOUNT: &str = "aws_account_id";
const USER: &str = "glacierfs_user";
/// How the names begin that AWS's tools don't know: a wrong one can only be a slip of the pen.
const OURS: &str = "glacierfs_";

/// The keys in a file, all of them usable and each with an ID of its own.
#[derive(Clone, Debug)]
pub struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) keys: Vec<BroughtKey>,
}

/// A key that somebody brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BroughtKey {
    pub profile: String,
    /// 12 digits; `None` is the endpoint's first account.
    pub account: Option<String>,
    /// The IAM user whose key it is, with its path; `None` when it is the account's own.
    pub user: Option<String>,
    pub credentials: Credentials,
}

impl KeyFile {
    /// Reads a file, and warns when others than its owner may. The error names the file, the profile, and what is
    /// allowed.
    pub fn read(path: &Path) -> Result<Self, String> {
        let unreadable = |error| format!("can't read the credentials in {}: {error}", path.display());
        let mut file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unreadable)?;
        if mode & 0o044 != 0 {
            let mode = mode & 0o777;
            log::warn!(
                "others can read the keys in {} (mode {mode:03o}): chmod 600 keeps them private",
                path.display()
            );
        }
        let keys = parse(&text).map_err(|error| format!("the credentials in {} are wrong: {error}", path.display()))?;
        Ok(KeyFile { path: path.to_owned(), keys })
    }
}

/// The keys of all profiles, in the order of the file.
pub(super) fn parse(text: &str) -> Result<Vec<BroughtKey>, String> {
    let mut keys: Vec<BroughtKey> = Vec::new();
    for (profile, settings) in profiles(text)? {
        let in_profile = |error| format!("in the profile [{profile}], {error}");
        let key = key(profile, settings).map_err(in_profile)?;
        let id = &key.credentials.access_key;
        if let Some(other) = keys.iter().find(|other| other.credentials.access_key == *id) {
            let error = format!("{ID} is {id}, as in [{}]: each profile has another", other.profile);
            return Err(in_profile(error));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(format!("there is no profile: there has to be one, such as [default], with {ID} and {SECRET}"));
    }
    Ok(keys)
}

/// What is set in a profile, by names in lower case: AWS's tools read them in any.
type Settings<'t> = BTreeMap<String, &'t str>;

fn profiles(text: &str) -> Result<Vec<(&str, Settings<'_>)>, String> {
    let mut profiles: Vec<(&str, Settings<'_>)> = Vec::new();
    // Whether indented lines belong to the setting above, which is how AWS's tools nest some.
    let mut nested = false;
    for (number, whole) in (1..).zip(text.lines()) {
        let line = whole.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || (nested && whole.starts_with([' ', '\t'])) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim();
            if profiles.iter().any(|(other, _)| *other == name) {
                return Err(format!("the profile [{name}] is there twice: allowed is once"));
            }
            profiles.push((name, Settings::new()));
            nested = false;
            continue;
        }
        // The line itself may hold a secret, so it isn't shown.
        let wrong = || format!("line {number} is neither [PROFILE] nor NAME = VALUE in a profile, nor a comment");
        let (name, value) = line.split_once('=').ok_or_else(wrong)?;
        let (profile, settings) = profiles.last_mut().ok_or_else(wrong)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        nested = value.is_empty();
        if settings.insert(name.clone(), value).is_some() {
            return Err(format!("in the profile [{profile}], {name} is there twice: allowed is once"));
        }
    }
    Ok(profiles)
}

fn key(profile: &str, settings: Settings<'_>) -> Result<BroughtKey, String> {
    let get = |name: &str| settings.get(name).map(|value| (*value).to_owned());
    if let Some(name) = settings.keys().find(|name| name.starts_with(OURS) && *name != USER) {
        return Err(format!("{name} is not known: allowed is {USER}"));
    }
    let required = |name: &str| get(name).ok_or_else(|| format!("{name} is missing: a profile has {ID} and {SECRET}"));
    let (access_key, secret_key) = (required(ID)?, required(SECRET)?);
    // An ID goes into the header Authorization, where commas and blanks separate.
    if access_key.is_empty() || access_key.len() > 128 || !access_key.bytes().all(|b| b.is_ascii_graphic() && b != b',')
    {
        return Err(format!(
            "{ID} is {access_key:?}: allowed are 1 to 128 characters from 0x21 to 0x7E, without commas"
        ));
    }
    let session_token = get(TOKEN);
    for (name, value) in [(SECRET, Some(&secret_key)), (TOKEN, session_token.as_ref())] {
        if value.is_some_and(|value| value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(format!("{name} is not usable: allowed are characters from 0x21 to 0x7E, at least one"));
        }
    }
    let account = get(ACCOUNT);
    if let Some(account) = account.as_ref().filter(|account| !is_account(account)) {
        return Err(format!("{ACCOUNT} is {account:?}: allowed are 12 digits, such as 111122223333"));
    }
    let user = get(USER);
    if let Some(user) = user.as_ref().filter(|user| !is_user(user)) {
        return Err(format!(
            "{USER} is {user:?}: allowed is the name of a user of at most 64 characters, A-Z, a-z, 0-9 and _+=,.@-, after \
             its path if it has one, such as team/ann"
        ));
    }
    let credentials = Credentials { access_key, secret_key, session_token };
    Ok(BroughtKey { profile: profile.to_owned(), account, user, credentials })
}

/// Whether `name` can be an IAM user's, with its path.
fn is_user(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 64
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    };
    name.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: profiles are read as AWS's tools do, with comments, settings of other tools and nested ones among them.
    #[test]
    fn read() {
        let text = "# mine\n\n[default]\naws_access_key_id = AKIA1\nAWS_Secret_Access_Key=s/e+c=\nregion = x\n\
                    s3 =\n  addressing_style = path\n  no setting\naws_account_id = 111122223333\n\
                    ; another\r\n[ ann ]\r\n  aws_access_key_id=AKIA2\r\n  aws_secret_access_key = t\r\n\
                    aws_session_token = to/ken==\r\nglacierfs_user = team/ann";
        let credentials = |id: &str, secret: &str, token: Option<&str>| Credentials {
            access_key: id.to_owned(),
            secret_key: secret.to_owned(),
            session_token: token.map(str::to_owned),
        };
        let first = BroughtKey {
            profile: "default".to_owned(),
            account: Some("111122223333".to_owned()),
            user: None,
            credentials: credentials("AKIA1", "s/e+c=", None),
        };
        let second = BroughtKey {
            profile: "ann".to_owned(),
            account: None,
            user: Some("team/ann".to_owned()),
            credentials: credentials("AKIA2", "t", Some("to/ken==")),
        };
        assert_eq!(parse(text), Ok(vec![first, second]));
    }

    /// Promise: what can't be used is refused with its profile and what is allowed, and no secret is shown.
    #[test]
    fn refused() {
        let good = "[a]\naws_access_key_id = A\naws_secret_access_key = hidden\n";
        for (text, says) in [
            ("", "there is no profile: there has to be one"),
            ("# [a]\n", "there is no profile"),
            ("aws_access_key_id = A\n[a]\n", "line 1 is neither [PROFILE]"),
            ("[a]\naws_secret_access_key hidden\n", "line 2 is neither [PROFILE]"),
            ("[a\n", "line 1 is neither [PROFILE]"),
            ("[a]\n", "in the profile [a], aws_access_key_id is missing: a profile has aws_access_key_id and"),
            ("[a]\naws_access_key_id = A\n", "in the profile [a], aws_secret_access_key is missing"),
            (
                "[a]\naws_access_key_id =\naws_secret_access_key = hidden\n",
                "aws_access_key_id is \"\": allowed are 1 to",
            ),
            ("[a]\naws_access_key_id = A,B\naws_secret_access_key = hidden\n", "aws_access_key_id is \"A,B\": allowed"),
            ("[a]\naws_access_key_id = A\naws_secret_access_key =\n", "aws_secret_access_key is not usable: allowed"),
            (&format!("{good}aws_session_token = hidden away\n"), "aws_session_token is not usable: allowed"),
            (&format!("{good}aws_account_id = 1234\n"), "[a], aws_account_id is \"1234\": allowed are 12 digits"),
            (&format!("{good}aws_account_id =\n"), "aws_account_id is \"\": allowed are 12 digits"),
            (&format!("{good}glacierfs_user = a*\n"), "glacierfs_user is \"a*\": allowed is the name of a user"),
            (&format!("{good}glacierfs_user = /ann\n"), "glacierfs_user is \"/ann\""),
            (&format!("{good}glacierfs_users = ann\n"), "glacierfs_users is not known: allowed is glacierfs_user"),
            (&format!("{good}aws_access_key_id = B\n"), "[a], aws_access_key_id is there twice"),
            (&format!("{good}{good}"), "the profile [a] is there twice"),
            (&format!("{good}{}", good.replace("[a]", "[b]")), "in the profile [b], aws_access_key_id is A, as in [a]"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(says) && !error.contains("hidden"), "{error:?} should contain {says:?}");
        }
    }

    /// Promise: a file that can't be read is named, and so is one with a fault in it.
    #[test]
    fn files() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys");
        let error = || KeyFile::read(&path).expect_err("no keys");
        let name = path.display().to_string();
        assert_eq!(error(), format!("can't read the credentials in {name}: No such file or directory (os error 2)"));
        std::fs::write(&path, b"\xff").expect("written");
        assert!(error().starts_with(&format!("can't read the credentials in {name}: ")), "{}", error());
        std::fs::write(&path, "[x]").expect("written");
        assert!(
            error().starts_with(&format!("the credentials in {name} are wrong: in the profile [x], ")),
            "{}",
            error()
        );
    }
}
