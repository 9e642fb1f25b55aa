//! An embedded endpoint on which a share of all requests goes wrong in one way or another.

use std::time::Duration;

use glacierfs::glacier::client::{Client, Config, Retry, Timeouts};
use glacierfs::glacier::credentials::CredentialSource;
use glacierfs::server::{RetrievalDelays, Server, ServerConfig};
use glacierfs::util::clock::Clock;
use glacierfs::util::retry::Backoff;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const VAULT: &str = "photos";
/// The share of requests that something goes wrong with.
const RATE: f64 = 0.2;
/// The longest standstill that the client bears; [`super::kinds`] has one beyond it.
const IDLE: Duration = Duration::from_secs(1);

/// The endpoint with the vault [`VAULT`], whose jobs are ready at once, a client that soon gives up, and one that doesn't.
pub struct Place {
    _directory: TempDir,
    pub client: Client,
    pub patient: Client,
    server: Server,
    http: reqwest::Client,
    seed: u64,
}

impl Place {
    pub async fn start(seed: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = ServerConfig::new(directory.path());
        config.listen.set_port(0);
        config.admin = true;
        config.retrieval_delays = RetrievalDelays::parse(["all=0s"]).expect("delays");
        let server = Server::start(config, Clock::real()).await.expect("the endpoint starts");
        let credentials = CredentialSource::fixed(server.credentials().clone());
        let config = Config { endpoint: Some(server.url()), ..Config::new("us-east-1", credentials) };
        let patient = Client::new(config.clone()).expect("a good configuration");
        let backoff = Backoff { first: Duration::from_millis(1), cap: Duration::from_millis(5) };
        let client = Client::new(Config {
            retry: Retry { attempts: 3, backoff },
            timeouts: Timeouts { connect: IDLE, idle: IDLE, upload: IDLE, complete: IDLE },
            ..config
        });
        let client = client.expect("a good configuration");
        patient.create_vault(VAULT).await.expect("created");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Place { _directory: directory, client, patient, server, http, seed }
    }

    /// From now on, `fault` strikes a share of the requests for `operation`.
    pub async fn spoil(&self, operation: &str, fault: &Value) {
        let rule = json!({"operation": operation, "rate": RATE, "fault": fault});
        self.plan(&json!({"seed": self.seed, "rules": [rule]})).await;
    }

    pub async fn plan(&self, plan: &Value) {
        self.admin("PUT", "faults", plan).await;
    }

    /// Ends all faults, and answers how often they struck.
    pub async fn heal(&self) -> u64 {
        let status: Value = serde_json::from_str(&self.admin("GET", "faults", &Value::Null).await).expect("JSON");
        self.admin("DELETE", "faults", &Value::Null).await;
        let rules = status["rules"].as_array().expect("rules");
        rules.iter().map(|rule| rule["fired"].as_u64().expect("a number")).sum()
    }

    /// Takes the vault's inventory.
    pub async fn take_inventory(&self) {
        self.admin("POST", "inventory", &json!({"vault": VAULT})).await;
    }

    async fn admin(&self, method: &str, route: &str, body: &Value) -> String {
        let token = self.server.admin_token().expect("there are admin routes");
        let request =
            self.http.request(method.parse().expect("a method"), format!("{}/_glacierfs/{route}", self.server.url()));
        let request = request.bearer_auth(token).body(if body.is_null() { String::new() } else { body.to_string() });
        let response = request.send().await.expect("an answer");
        let (status, text) = (response.status(), response.text().await.expect("text"));
        assert!(status.is_success(), "{status}: {text}");
        text
    }
}
