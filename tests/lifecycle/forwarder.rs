//! A forwarder between a mount and its endpoint: slows requests down, withholds answers, and remembers what passed.

use std::collections::HashMap;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// Bytes that are passed on at a time.
const CHUNK: usize = 64 << 10;
/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// One request that was passed on.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which daemon of the test sent it, from 0.
    pub round: u64,
    pub method: String,
    pub path: String,
    /// The part that it carries, as its header says.
    pub range: Option<String>,
    /// The answer's status, once all of the answer was handed to the daemon.
    pub answered: Option<u16>,
}

impl Exchange {
    /// Whether it carries a whole archive.
    pub fn is_archive(&self) -> bool {
        self.method == "POST" && self.path.ends_with("/archives")
    }

    /// The part that it carries: the upload's path and the range.
    pub fn part(&self) -> Option<(String, String)> {
        (self.method == "PUT").then(|| Some((self.path.clone(), self.range.clone()?)))?
    }
}

#[derive(Default)]
struct Shared {
    exchanges: Mutex<Vec<Exchange>>,
    round: AtomicU64,
    /// Microseconds that a chunk of a request takes.
    delay: AtomicU64,
    /// The number, counted from 1, of the whole archive whose answer isn't passed on in its round; 0: none.
    withheld: AtomicU64,
    archives: AtomicU64,
}

/// Forwards TCP connections from a port of its own to an endpoint, until the test ends.
pub struct Forwarder {
    shared: Arc<Shared>,
    pub url: String,
}

impl Forwarder {
    /// Starts to forward to `target`, an URL without a path.
    pub fn start(target: &str) -> Self {
        let target = target.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, target) = (accepting.clone(), target.clone());
                // A connection that breaks is what these tests are about.
                std::thread::spawn(move || drop(forward(&shared, client, &target)));
            }
        });
        Forwarder { shared, url }
    }

    /// How long each 64 KiB of a request take from now on.
    pub fn slow(&self, delay: Duration) {
        self.shared.delay.store(delay.as_micros() as u64, Ordering::Relaxed);
    }

    /// Lets the endpoint's answer to the `nth` archive never arrive in this round.
    pub fn withhold(&self, nth: u64) {
        self.shared.withheld.store(nth, Ordering::Relaxed);
    }

    /// The daemon was killed: what comes now is another's.
    pub fn next_round(&self) {
        self.shared.round.fetch_add(1, Ordering::Relaxed);
    }

    /// What has passed so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.shared.exchanges).clone()
    }

    /// How many of the requests that `wanted` names were answered with `status`, and the answer passed on.
    pub fn count(&self, status: u16, wanted: impl Fn(&Exchange) -> bool) -> usize {
        lock(&self.shared.exchanges).iter().filter(|e| e.answered == Some(status) && wanted(e)).count()
    }
}

fn lock(exchanges: &Mutex<Vec<Exchange>>) -> MutexGuard<'_, Vec<Exchange>> {
    exchanges.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first line and the headers of a message, as they came, and the headers by their names in small letters.
struct Head {
    raw: Vec<u8>,
    first: Vec<String>,
    headers: HashMap<String, String>,
}

fn head(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut head = Head { raw: Vec::new(), first: Vec::new(), headers: HashMap::new() };
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line)? == 0 {
            return if head.raw.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        head.raw.extend(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if head.first.is_empty() {
            head.first = text.split(' ').map(str::to_owned).collect();
        } else if text.is_empty() {
            return Ok(Some(head));
        } else if let Some((name, value)) = text.split_once(':') {
            head.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
}

/// Passes a body on, `delay` before each chunk.
fn body(head: &Head, from: &mut impl BufRead, to: &mut impl Write, delay: impl Fn() -> Duration) -> io::Result<()> {
    if head.headers.get("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            to.write_all(line.as_bytes())?;
            let length = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            copy(from, to, length + 2, &delay)?;
            if length == 0 {
                return Ok(());
            }
        }
    }
    let length = head.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    copy(from, to, length, &delay)
}

fn copy(from: &mut impl BufRead, to: &mut impl Write, length: u64, delay: impl Fn() -> Duration) -> io::Result<()> {
    let mut left = length;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let wanted = buffer.len().min(left as usize);
        let chunk = &mut buffer[..wanted];
        from.read_exact(chunk)?;
        std::thread::sleep(delay());
        to.write_all(chunk)?;
        left -= wanted as u64;
    }
    Ok(())
}

fn forward(shared: &Shared, client: TcpStream, target: &str) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut to_client) = (BufReader::new(client.try_clone()?), client);
    let (mut from_server, mut to_server) = (BufReader::new(server.try_clone()?), server);
    while let Some(request) = head(&mut from_client)? {
        let round = shared.round.load(Ordering::Relaxed);
        let word = |n: usize| request.first.get(n).cloned().unwrap_or_default();
        let range = request.headers.get("content-range").cloned();
        let exchange = Exchange { round, method: word(0), path: word(1), range, answered: None };
        let nth = if exchange.is_archive() { shared.archives.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
        let withheld = nth > 0 && nth == shared.withheld.load(Ordering::Relaxed);
        let at = {
            let mut exchanges = lock(&shared.exchanges);
            exchanges.push(exchange);
            exchanges.len() - 1
        };
        let delay = || Duration::from_micros(shared.delay.load(Ordering::Relaxed));
        to_server.write_all(&request.raw)?;
        body(&request, &mut from_client, &mut to_server, delay)?;
        let answer = head(&mut from_server)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut all = answer.raw.clone();
        let status = answer.first.get(1).and_then(|status| status.parse().ok());
        let none = matches!(status, Some(204 | 304)) || word(0) == "HEAD";
        if withheld {
            let start = Instant::now();
            while shared.round.load(Ordering::Relaxed) == round && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
            }
            return Ok(());
        }
        if !none {
            body(&answer, &mut from_server, &mut all, || Duration::ZERO)?;
        }
        to_client.write_all(&all)?;
        lock(&shared.exchanges)[at].answered = status;
    }
    Ok(())
}
