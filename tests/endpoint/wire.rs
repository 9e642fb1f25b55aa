//! What an HTTP client library wouldn't send: slow, chunked, waiting and cut-off bodies, spoken over a bare socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use glacierfs::glacier::sigv4::{self, RequestLine, payload_hash};
use glacierfs::glacier::treehash::tree_hash;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

use crate::client::{Endpoint, REGION, pattern};

/// The head of an upload of `data`, without the headers that say how its body comes.
fn head(endpoint: &Endpoint, vault: &str, data: &[u8]) -> String {
    let host = endpoint.server.url().replace("http://", "");
    let (path, hash) = (format!("/-/vaults/{vault}/archives"), payload_hash(data));
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", host),
        ("x-amz-glacier-version", "2012-06-01".to_owned()),
        ("x-amz-content-sha256", hash.clone()),
        ("x-amz-sha256-tree-hash", tree_hash(data).to_string()),
    ] {
        headers.insert(name, HeaderValue::from_str(&value).expect("a value"));
    }
    let line = RequestLine { method: "POST", path: &path, query: "" };
    let key = endpoint.server.credentials();
    sigv4::sign(key, REGION, Timestamp::now(), line, &mut headers, &hash).expect("signed");
    let lines = headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().expect("text")));
    format!("POST {path} HTTP/1.1\r\n{}", lines.collect::<String>())
}

/// Sends `parts` with pauses between them, and answers what comes back until the server closes the connection or says
/// nothing more for a second.
async fn talk(endpoint: &Endpoint, parts: Vec<Vec<u8>>, pause: Duration) -> String {
    let address = endpoint.server.url().replace("http://", "");
    let talk = move || {
        let mut socket = TcpStream::connect(address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(1))).expect("set");
        for part in parts {
            socket.write_all(&part).expect("sent");
            std::thread::sleep(pause);
        }
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = socket.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..n]);
        }
        String::from_utf8(answer).expect("text")
    };
    tokio::task::spawn_blocking(talk).await.expect("the talk ends")
}

async fn files(endpoint: &Endpoint) -> usize {
    // Files of refused requests go in the background.
    let began = Instant::now();
    loop {
        let count = std::fs::read_dir(endpoint.directory.path().join("objects")).expect("objects").count();
        if count == 0 || began.elapsed() > Duration::from_secs(5) {
            return count;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Promise: a body that stops coming is given up with 408 after the timeout, one that comes slowly but steadily is not;
/// one that ends early leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_broken_bodies() {
    let endpoint = Endpoint::with(|config| config.body_timeout = Duration::from_millis(300)).await;
    endpoint.api.create_vault("v").await;
    for size in [1000, 3 << 20] {
        let data = pattern(size);
        let head = format!("{}content-length: {size}\r\n\r\n", head(&endpoint, "v", &data));
        let half = vec![head.clone().into_bytes(), data[..size / 2].to_vec()];
        let answer = talk(&endpoint, half, Duration::ZERO).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(
            answer.contains(r#"{"code":"RequestTimeoutException","message":"Request timed out.","type":"Client"}"#)
        );
        assert_eq!(files(&endpoint).await, 0);
    }
    let data = pattern(1000);
    let mut parts = vec![format!("{}content-length: 1000\r\n\r\n", head(&endpoint, "v", &data)).into_bytes()];
    parts.extend(data.chunks(200).map(<[u8]>::to_vec));
    let answer = talk(&endpoint, parts, Duration::from_millis(150)).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");

    let data = pattern(3 << 20);
    let head = format!("{}content-length: {}\r\n\r\n", head(&endpoint, "v", &data), data.len());
    let address = endpoint.server.url().replace("http://", "");
    tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).expect("connected");
        socket.write_all(head.as_bytes()).expect("sent");
        socket.write_all(&data[..2 << 20]).expect("sent");
    })
    .await
    .expect("cut off");
    assert_eq!(files(&endpoint).await, 0);
}

/// Promise: a client that waits for "100 Continue" gets it, or the refusal instead of it; a body without a length is
/// refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_and_chunked_bodies() {
    let endpoint = Endpoint::start().await;
    endpoint.api.create_vault("v").await;
    let data = pattern(100_000);
    let wait = |vault: &str| {
        let head = head(&endpoint, vault, &data);
        format!("{head}content-length: {}\r\nexpect: 100-continue\r\n\r\n", data.len()).into_bytes()
    };
    let answer = talk(&endpoint, vec![wait("v"), data.clone()], Duration::from_millis(200)).await;
    let (first, second) = answer.split_once("\r\n\r\n").expect("two answers");
    assert!(first.starts_with("HTTP/1.1 100 ") && second.starts_with("HTTP/1.1 201 "), "{answer}");
    let answer = talk(&endpoint, vec![wait("gone")], Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("connection: close"), "{answer}");

    let chunked =
        format!("{}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", head(&endpoint, "v", b"hello"));
    let answer = talk(&endpoint, vec![chunked.into_bytes()], Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Required parameter missing: Content-Length"));
}
