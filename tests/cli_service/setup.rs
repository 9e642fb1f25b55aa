//! An endpoint to ask, and the program to ask it with.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use glacierfs::glacier::client::Client;
use glacierfs::glacier::client::Config;
use glacierfs::glacier::client::Error;
use glacierfs::glacier::client::Payload;
use glacierfs::glacier::credentials::CredentialSource;
use glacierfs::glacier::sigv4::Credentials;
use serde_json::Value;
use tempfile::TempDir;

/// `glacierfs serve` with the vault `photos`, its jobs done at once, and a home directory for those who ask it.
pub struct Endpoint {
    home: TempDir,
    server: Child,
    url: String,
    keys: [(&'static str, String); 2],
}

/// What a command has answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Endpoint {
    pub fn start() -> Self {
        Self::with(&["--retrieval-delay", "all=0s"])
    }

    pub fn with(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let data = home.path().join("data");
        let mut command = Command::new(env!("CARGO_BIN_EXE_glacierfs"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "error"]).args(arguments).arg("--data").arg(&data);
        let mut server = command.stdout(Stdio::piped()).spawn().expect("glacierfs runs");
        let mut url = String::new();
        let output = server.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut url).expect("its URL");
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?}");
        let text = std::fs::read_to_string(data.join("credentials")).expect("the key");
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect("a line");
            line.split_once(" = ").expect("a value").1.to_owned()
        };
        let keys = [
            ("AWS_ACCESS_KEY_ID", value("aws_access_key_id")),
            ("AWS_SECRET_ACCESS_KEY", value("aws_secret_access_key")),
        ];
        let endpoint = Endpoint { home, server, url: url.trim().to_owned(), keys };
        endpoint.client(async |client| client.create_vault("photos").await);
        endpoint
    }

    /// What no command does: making a vault without a mount, and leaving an upload half done.
    fn client<T>(&self, work: impl AsyncFnOnce(Client) -> Result<T, Error>) -> T {
        let [(_, access_key), (_, secret_key)] = self.keys();
        let credentials = CredentialSource::fixed(Credentials { access_key, secret_key, session_token: None });
        let config = Config { endpoint: Some(self.url.clone()), ..Config::new("us-east-1", credentials) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { work(Client::new(config).expect("a client")).await }).expect("the endpoint does it")
    }

    /// Begins an upload in parts of 1 MiB, of which one is sent; its ID.
    pub fn begin_upload(&self, description: &str) -> String {
        self.client(async |client| {
            let upload = client.initiate_multipart_upload("photos", description, 1 << 20).await?;
            let part = Payload::bytes(vec![7; 1 << 20]);
            let hash = part.hash().await.expect("its hash");
            client.upload_part("photos", &upload, 0, &part, &hash).await?;
            Ok(upload)
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file in the home directory; its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a written file");
        path.to_string_lossy().into_owned()
    }

    /// The program, set up to ask this endpoint by its variables.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(self.home.path(), arguments);
        command.env("GLACIERFS_ENDPOINT", &self.url).env("GLACIERFS_REGION", "us-east-1").envs(self.keys.clone());
        command
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn keys(&self) -> [(&'static str, String); 2] {
        self.keys.clone()
    }

    /// Runs a command with an empty standard input.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        run(&mut self.command(arguments))
    }

    /// Runs a command that has to go well; what it prints.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments);
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.stderr);
        String::from_utf8(answer.stdout).expect("text")
    }

    /// Runs a command that has to go well with `input`; what it prints.
    pub fn ok_with(&self, arguments: &[&str], input: &str) -> String {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a command that has to go well and prints JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).expect("JSON")
    }

    /// Runs a command that has to fail with `code`, and says `message` on standard error; nothing else is printed.
    pub fn refused(&self, arguments: &[&str], code: i32, message: &str) {
        let answer = self.run(arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(message), "{arguments:?}: {}", answer.stderr);
        assert!(answer.stdout.is_empty(), "{arguments:?}: {answer:?}");
    }

    /// Runs a command that mustn't do anything without `--yes`.
    pub fn asks(&self, arguments: &[&str], warning: &str) {
        self.refused(arguments, 2, warning);
        self.refused(arguments, 2, "there is no terminal to ask on, so give --yes");
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The program in surroundings of its own: no settings, no AWS configuration, a home directory that is a test's.
pub fn bare(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glacierfs"));
    command.args(arguments).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

pub fn run(command: &mut Command) -> Answer {
    let output = command.output().expect("the program starts");
    let code = output.status.code().expect("no signal ends it");
    Answer { code, stdout: output.stdout, stderr: String::from_utf8(output.stderr).expect("text") }
}
