//! `glacierfs serve` killed with SIGKILL in the middle of uploads, again and again, on the same data.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use glacierfs::glacier::inventory::Inventory;
use glacierfs::glacier::sigv4::Credentials;
use glacierfs::glacier::treehash::{TreeHash, tree_hash};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::json;

use crate::client::{Api, MIB};

/// How often the server is killed.
const ROUNDS: u32 = 6;
/// How many clients upload at once.
const CLIENTS: u64 = 6;

/// A server in a process of its own.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glacierfs"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--retrieval-delay", "all=0s", "--inventory-interval", "0s"]);
        let mut child = command.arg("--data").arg(data).stdout(Stdio::piped()).spawn().expect("glacierfs runs");
        let mut url = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut url).expect("its URL");
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?}");
        Process { child, url: url.trim().to_owned() }
    }

    fn api(&self, data: &Path) -> Api {
        let text = std::fs::read_to_string(data.join("credentials")).expect("the key");
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect("a line");
            line.split_once(" = ").expect("a value").1.to_owned()
        };
        let (access_key, secret_key) = (value("aws_access_key_id"), value("aws_secret_access_key"));
        Api::at(self.url.clone(), Credentials { access_key, secret_key, session_token: None })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL; an error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Acknowledged = Arc<Mutex<HashMap<String, TreeHash>>>;

/// Uploads archives, small, large and in parts, until the server is gone.
async fn upload(api: Api, mut random: StdRng, acknowledged: Acknowledged) {
    loop {
        let in_parts = random.random_bool(0.2);
        let size = match random.random_range(0..3) {
            _ if in_parts => MIB + random.random_range(1..2 * MIB),
            0 => random.random_range(1..5_000),
            1 => random.random_range(60_000..70_000),
            _ => random.random_range(100_000..2 * MIB),
        };
        let mut data = vec![0; size];
        random.fill_bytes(&mut data);
        let id = if in_parts { upload_parts(&api, &data).await } else { upload_whole(&api, &data).await };
        let Some(id) = id else { return };
        acknowledged.lock().expect("the map").insert(id, tree_hash(&data));
    }
}

async fn upload_whole(api: &Api, data: &[u8]) -> Option<String> {
    let answer = api.call("POST", "/-/vaults/v/archives").data(data).try_send().await?;
    Some(answer.expect(201).header("x-amz-archive-id"))
}

async fn upload_parts(api: &Api, data: &[u8]) -> Option<String> {
    let call = api.call("POST", "/-/vaults/v/multipart-uploads").header("x-amz-part-size", "1048576");
    let target = call.try_send().await?.expect(201).header("location");
    for (i, part) in data.chunks(MIB).enumerate() {
        let range = format!("bytes {}-{}/*", i * MIB, i * MIB + part.len() - 1);
        api.call("PUT", &target).data(part).header("content-range", &range).try_send().await?.expect(204);
    }
    let call = api.call("POST", &target).header("x-amz-archive-size", &data.len().to_string());
    let answer = call.header("x-amz-sha256-tree-hash", &tree_hash(data).to_string()).try_send().await?;
    Some(answer.expect(201).header("x-amz-archive-id"))
}

/// Promise: whenever the server is killed, every archive that it has acknowledged is listed and whole afterwards, and so
/// is everything else that it lists; files that belong to nothing don't pile up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let acknowledged = Acknowledged::default();
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..ROUNDS {
        let mut process = Process::start(data);
        let api = process.api(data);
        api.create_vault("v").await;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|i| {
                let random = StdRng::seed_from_u64(seed ^ (u64::from(round) << 32) ^ i);
                tokio::spawn(upload(api.clone(), random, Arc::clone(&acknowledged)))
            })
            .collect();
        let enough = acknowledged.lock().expect("the map").len() + random.random_range(1..60);
        let began = Instant::now();
        while acknowledged.lock().expect("the map").len() < enough {
            assert!(began.elapsed() < Duration::from_secs(60), "the uploads don't get on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(0..30_000))).await;
        process.child.kill().expect("killed while it ran");
        for client in clients {
            client.await.expect("the client saw nothing wrong before the kill");
        }
    }

    let process = Process::start(data);
    let api = process.api(data);
    let job = api.job("v", json!({"Type": "inventory-retrieval"})).await;
    let inventory: Inventory =
        serde_json::from_slice(&api.output("v", &job, None).await.expect(200).body).expect("one");
    let listed: HashMap<_, _> = inventory.archives.iter().map(|a| (a.archive_id.clone(), a)).collect();
    let acknowledged = acknowledged.lock().expect("the map").clone();
    for (id, hash) in &acknowledged {
        assert_eq!(listed.get(id).map(|archive| archive.tree_hash), Some(*hash), "{id} was acknowledged");
    }
    for (id, archive) in &listed {
        let job = api.job("v", json!({"Type": "archive-retrieval", "ArchiveId": id})).await;
        let body = api.output("v", &job, None).await.expect(200).body;
        assert_eq!((body.len() as u64, tree_hash(&body)), (archive.size, archive.tree_hash), "{id} is whole");
    }
    println!("{} acknowledged, {} listed", acknowledged.len(), listed.len());

    let database = rusqlite::Connection::open(data.join("glacier.db")).expect("the database");
    let mut known = database.prepare("SELECT id FROM objects WHERE data IS NULL").expect("a query");
    let known: HashSet<i64> =
        known.query_map([], |row| row.get(0)).expect("rows").map(|id| id.expect("an ID")).collect();
    let files = std::fs::read_dir(data.join("objects")).expect("the objects");
    let files = files.map(|entry| entry.expect("an entry").file_name().to_str().and_then(|name| name.parse().ok()));
    assert_eq!(files.collect::<Option<HashSet<i64>>>(), Some(known), "files and rows belong together");
}
