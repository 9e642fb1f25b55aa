//! `glacierfs status`: how a mount and its work stand, as a page, as JSON, or as bars that move.

use std::io;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use jiff::Timestamp;

use super::ask;
use super::exit::Failure;
use super::output;
use crate::control::client::Client;
use crate::control::wire;
use crate::control::wire::Job;
use crate::control::wire::JobKind;
use crate::control::wire::JobState;
use crate::util::size;

/// How often `--watch` asks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Most uploads, and most jobs, that are shown one by one.
const ROWS: usize = 10;

/// From how many seconds on it is told that an upload stands still.
const IDLE: u64 = 15;

/// Most uploads, and most jobs, that a daemon tells.
const TOLD: usize = 100;

/// Show how a mount stands: what is being archived and brought back, and how fast
#[derive(Debug, clap::Args)]
pub struct Status {
    /// The mount that is meant, where there are several
    #[arg(value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show it with progress bars until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

impl Status {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| match (self.watch, self.json) {
            (true, _) => tokio::select! {
                end = watch(&client) => end,
                _ = tokio::signal::ctrl_c() => Ok(()),
            },
            (false, true) => output::print_json(&client.status().await?),
            (false, false) => output::print(&page(&client.status().await?)),
        })
    }
}

/// The page for a person.
fn page(status: &wire::Status) -> String {
    let now = Timestamp::now();
    let mut page = format!(
        "{} at {} (glacierfs {}, process {}, up {})\n\n",
        status.name,
        status.mountpoint,
        status.version,
        status.pid,
        output::span(output::between(status.started, now))
    );
    let rows = [
        ("service", format!("{}, region {}, account {}", status.endpoint, status.region, status.account)),
        ("state", status.state_dir.to_string()),
        ("archiving", archiving(status)),
        ("recalling", recalling(status)),
        (
            "local",
            format!(
                "{} of {} cached ({}), {} not archived yet",
                size::human(status.cache.bytes),
                size::human(status.cache.limit),
                output::count(status.cache.files, "file", "files"),
                size::human(status.spool.bytes)
            ),
        ),
        (
            "so far",
            format!(
                "{} archived, {} brought back",
                output::files(status.totals.archived_files, status.totals.archived_bytes),
                size::human(status.totals.recalled_bytes)
            ),
        ),
    ];
    page.push_str(&output::table(&["", ""], &[], &rows.map(|(key, value)| vec![format!("  {key}"), value])));
    if status.undeletable > 0 {
        let entries = output::count(status.undeletable, "entry", "entries");
        page.push_str(&format!(
            "\nTrash\n  {entries} couldn't be deleted from the vaults: see `glacierfs trash list`\n"
        ));
    }
    section(&mut page, "Paused", status.paused.iter().map(|pause| paused(pause, now)).collect());
    let told = |told: &wire::Trouble| vec![format!("since {}", output::local_time(told.since)), told.reason.clone()];
    section(&mut page, "Recalls wait", status.recall_trouble.iter().map(told).collect());
    section(&mut page, "No notifications", status.notify_trouble.iter().map(told).collect());
    let held = status.held.iter().map(|held| {
        let jobs = output::count(held.jobs, "retrieval", "retrievals");
        vec![format!("{jobs}, {}", size::human(held.bytes)), output::local_time(held.until), held.reason.clone()]
    });
    section(&mut page, "Held until", held.collect());
    let limits = status.budget.iter().map(|limit| vec![limit.limit.clone(), format!("{} used", limit.used)]);
    section(&mut page, "Budget", limits.collect());
    section(&mut page, "Uploads", status.uploads.iter().map(|upload| upload_row(upload).into()).collect());
    section(&mut page, "Jobs", status.jobs.iter().map(|job| job_row(job).into()).collect());
    page
}

fn section(page: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if let Some(first) = rows.first() {
        let heading = vec![""; first.len()];
        let table = output::table(&heading, &[], &rows[..rows.len().min(ROWS)]);
        page.push_str(&format!("\n{title}\n"));
        page.extend(table.lines().flat_map(|line| ["  ", line, "\n"]));
        match rows.len() {
            0..=ROWS => {}
            TOLD.. => page.push_str("  … and more; --json has 100\n"),
            n => page.push_str(&format!("  … and {} more\n", n - ROWS)),
        }
    }
}

fn archiving(status: &wire::Status) -> String {
    let queue = &status.queue;
    let mut parts = Vec::new();
    match queue.files {
        0 => parts.push("nothing waits".to_owned()),
        n => parts.push(format!("{} to go", output::files(n, queue.bytes.saturating_sub(queue.uploading_bytes_sent)))),
    }
    if queue.uploading_files > 0 {
        let speed = output::speed(status.rates.upload_bytes_per_second);
        parts.push(format!("{} uploading at {speed}", queue.uploading_files));
    }
    if queue.failed_files > 0 {
        parts.push(format!("{} failed and tried again", queue.failed_files));
    }
    if queue.dirty_files > 0 {
        parts.push(format!("{} being written", queue.dirty_files));
    }
    parts.join(", ")
}

fn recalling(status: &wire::Status) -> String {
    match status.jobs.len() as u64 {
        0 => "nothing".to_owned(),
        n => {
            let more = if status.jobs.len() < TOLD { "" } else { " or more" };
            let speed = output::speed(status.rates.recall_bytes_per_second);
            format!("{}{more}, {speed}", output::count(n, "job", "jobs"))
        }
    }
}

fn paused(paused: &wire::Paused, now: Timestamp) -> Vec<String> {
    let retry = match paused.retry > now {
        true => format!("tried again in {}", output::span(output::between(now, paused.retry))),
        false => "being tried again".to_owned(),
    };
    vec![paused.vault.clone(), format!("since {}", output::local_time(paused.since)), retry, paused.reason.clone()]
}

fn upload_row(upload: &wire::Upload) -> [String; 3] {
    let mut tries = match (&upload.error, upload.attempts) {
        (Some(error), tries) => format!("try {tries}; the last one failed: {error}"),
        (None, 0 | 1) => String::new(),
        (None, tries) => format!("try {tries}"),
    };
    if upload.idle_seconds >= IDLE {
        let separator = if tries.is_empty() { "" } else { "; " };
        tries = format!("nothing has moved for {} s{separator}{tries}", upload.idle_seconds);
    }
    [progress(upload.sent, upload.size), upload.path.to_string(), tries]
}

fn job_row(job: &Job) -> [String; 3] {
    let what = match (job.kind, &job.path) {
        (JobKind::Inventory, _) => format!("inventory of {}", job.vault),
        (JobKind::Archive, Some(path)) => path.to_string(),
        (JobKind::Archive, None) => format!("an archive of {}", job.vault),
    };
    let range = job.range.map(|(first, last)| format!(" bytes {first} to {last}")).unwrap_or_default();
    let state = match job.state {
        JobState::Waiting => format!("waiting{}", output::ready_at(job.eta)),
        JobState::Downloading => progress(job.received, job.size),
        JobState::Failed => format!("failed: {}", job.error.as_deref().unwrap_or("no reason is known")),
    };
    [job.tier.clone().unwrap_or_default(), format!("{what}{range}"), state]
}

fn progress(done: u64, all: u64) -> String {
    let percent = u128::from(done) * 100 / u128::from(all.max(1));
    format!("{} of {}, {percent} %", size::human(done), size::human(all))
}

/// Asks again and again; bars on a terminal, pages otherwise. Ends with the daemon.
async fn watch(client: &Client) -> Result<(), Failure> {
    let mut bars = io::stderr().is_terminal().then(Bars::new);
    loop {
        let status = client.status().await.inspect_err(|_| bars.iter_mut().for_each(Bars::clear))?;
        match &mut bars {
            Some(bars) => bars.show(&status),
            None => output::print(&format!("{}\n", page(&status)))?,
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The bars of `--watch`: a head line, one bar over everything that waits, one for each upload and job.
struct Bars {
    all: MultiProgress,
    head: ProgressBar,
    queue: ProgressBar,
    local: ProgressBar,
    rows: Vec<ProgressBar>,
    /// Bytes archived when the present work began, so that the bar over everything only moves forward.
    from: Option<u64>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let line = || all.add(ProgressBar::new(0).with_style(output::style("{msg}")));
        let (head, local) = (line(), line());
        let queue = all.insert_after(&head, ProgressBar::new(0));
        queue.set_style(output::style("archiving {wide_bar} {bytes} of {total_bytes}  {msg}"));
        Bars { all, head, queue, local, rows: Vec::new(), from: None }
    }

    fn show(&mut self, status: &wire::Status) {
        self.head.set_message(format!("{} at {}  {}", status.name, status.mountpoint, archiving(status)));
        self.local.set_message(format!(
            "recalling {}; cache {} of {}",
            recalling(status),
            size::human(status.cache.bytes),
            size::human(status.cache.limit)
        ));
        let archived = status.totals.archived_bytes;
        if status.queue.files == 0 {
            self.from = None;
        }
        let from = *self.from.get_or_insert(archived);
        let done = archived.saturating_sub(from) + status.queue.uploading_bytes_sent;
        self.queue.set_length(done + status.queue.bytes.saturating_sub(status.queue.uploading_bytes_sent));
        self.queue.set_position(done);
        self.queue.set_message(output::speed(status.rates.upload_bytes_per_second));

        let uploads = status.uploads.iter().take(ROWS).map(|upload| {
            let [_, path, tries] = upload_row(upload);
            (upload.sent, upload.size, format!("{path}  {tries}"))
        });
        let jobs = status.jobs.iter().take(ROWS).map(|job| {
            let [tier, what, state] = job_row(job);
            (job.received, job.size, format!("{what}  {tier} {state}"))
        });
        let rows: Vec<_> = uploads.chain(jobs).collect();
        while self.rows.len() > rows.len() {
            if let Some(bar) = self.rows.pop() {
                self.all.remove(&bar);
            }
        }
        while self.rows.len() < rows.len() {
            let bar = ProgressBar::new(0).with_style(output::style("  {bar:20} {percent:>3} %  {wide_msg}"));
            self.rows.push(self.all.add(bar));
        }
        for (bar, (done, all, message)) in self.rows.iter().zip(rows) {
            bar.set_length(all.max(1));
            bar.set_position(done);
            bar.set_message(message);
        }
    }

    fn clear(&mut self) {
        // The terminal is going away or isn't there; either way nothing is left to clear.
        let _ = self.all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::*;

    /// Promise: the page tells what is asked first, in words, with nothing about what isn't there.
    #[test]
    fn a_page_for_a_person() {
        let started = Timestamp::now() - jiff::SignedDuration::from_secs(3 * 3600 + 120);
        let mut status = wire::Status {
            version: "0.1.0".to_owned(),
            name: "mnt-vaults".to_owned(),
            mountpoint: PathText(b"/mnt/vaults".to_vec()),
            state_dir: PathText(b"/var/lib/glacierfs/mnt-vaults".to_vec()),
            endpoint: "https://glacier.eu-central-1.amazonaws.com".to_owned(),
            region: "eu-central-1".to_owned(),
            account: "-".to_owned(),
            pid: 7,
            started,
            queue: Queue::default(),
            rates: Rates::default(),
            totals: Totals { archived_files: 1, archived_bytes: size::GIB, recalled_bytes: 0 },
            uploads: Vec::new(),
            jobs: Vec::new(),
            cache: Cache { bytes: size::MIB, limit: size::GIB, low: size::GIB, files: 2 },
            spool: Spool::default(),
            paused: Vec::new(),
            recall_trouble: None,
            notify_trouble: None,
            budget: Vec::new(),
            held: Vec::new(),
            undeletable: 0,
        };
        let idle = page(&status);
        assert!(idle.starts_with("mnt-vaults at /mnt/vaults (glacierfs 0.1.0, process 7, up 3h 2m)\n\n"), "{idle}");
        assert!(idle.contains("  archiving  nothing waits\n  recalling  nothing\n"), "{idle}");
        assert!(!idle.contains("Uploads") && !idle.contains("Paused"), "{idle}");

        status.queue = Queue {
            files: 3,
            bytes: 300,
            uploading_files: 1,
            uploading_bytes_sent: 100,
            failed_files: 1,
            dirty_files: 2,
        };
        status.rates.upload_bytes_per_second = 2048.0;
        status.uploads = vec![Upload {
            path: PathText(b"photos/a\xff.jpg".to_vec()),
            size: 200,
            sent: 100,
            attempts: 2,
            error: Some("timeout".to_owned()),
            idle_seconds: 14,
        }];
        let retry = Timestamp::now() - jiff::SignedDuration::from_secs(1);
        let (vault, reason) = ("docs".to_owned(), "access denied".to_owned());
        status.paused = vec![Paused { vault, reason, since: started, retry }];
        status.recall_trouble = Some(Trouble { reason: "no connection".to_owned(), since: started });
        status.notify_trouble = Some(Trouble { reason: "no such queue".to_owned(), since: started });
        status.budget = vec![wire::BudgetLimit {
            limit: "3 requests a day".to_owned(),
            used: "1 request".to_owned(),
            most: 3,
            spent: 1,
        }];
        status.held =
            vec![wire::Held { reason: "no more today".to_owned(), jobs: 2, bytes: size::MIB, until: started }];
        let busy = page(&status);
        status.uploads[0].idle_seconds = 15;
        let still = "photos/a%FF.jpg  nothing has moved for 15 s; try 2; the last one failed: timeout\n";
        assert!(page(&status).contains(still), "{}", page(&status));
        status.uploads = vec![status.uploads[0].clone(); 12];
        let many = page(&status);
        assert_eq!(many.matches("a%FF.jpg").count(), ROWS, "{many}");
        assert!(many.ends_with("  … and 2 more\n"), "{many}");
        for expected in [
            "  archiving  3 files, 200 B to go, 1 uploading at 2.0 KiB/s, 1 failed and tried again, 2 being written\n",
            "\nUploads\n  100 B of 200 B, 50 %  photos/a%FF.jpg  try 2; the last one failed: timeout\n",
            "\nPaused\n  docs  since ",
            "  being tried again  access denied\n",
            "\nRecalls wait\n  since ",
            "\nNo notifications\n  since ",
            "\nHeld until\n  2 retrievals, 1.0 MiB  ",
            "\nBudget\n  3 requests a day  1 request used\n",
        ] {
            assert!(busy.contains(expected), "{expected:?} in {busy}");
        }
    }

    /// Promise: the templates of the bars are ones that indicatif reads.
    #[test]
    fn bars_have_valid_templates() {
        for template in [
            "{msg}",
            "archiving {wide_bar} {bytes} of {total_bytes}  {msg}",
            "  {bar:20} {percent:>3} %  {wide_msg}",
            "{spinner} {wide_msg}",
            "archiving {wide_bar} {bytes} of {total_bytes} {msg}",
        ] {
            indicatif::ProgressStyle::with_template(template).expect(template);
        }
    }
}
