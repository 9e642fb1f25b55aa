//! Notices a step that doesn't end: says which it is, and breaks it off.

use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// No step takes as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Is told of each step before it begins.
pub struct Watchdog {
    steps: mpsc::Sender<String>,
}

impl Watchdog {
    /// One that calls `break_off`, and not twice, when a step doesn't end.
    pub fn new(break_off: Box<dyn Fn() + Send>) -> Self {
        let (steps, heard) = mpsc::channel::<String>();
        // It ends with the sender.
        std::thread::spawn(move || {
            let mut last = String::new();
            loop {
                match heard.recv_timeout(PATIENCE) {
                    Ok(step) => last = step,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        eprintln!("nothing happens any more, since {} s ago: {last}", PATIENCE.as_secs());
                        return break_off();
                    }
                }
            }
        });
        Watchdog { steps }
    }

    pub fn begins(&self, step: String) {
        // Nobody listens once it was broken off.
        let _ = self.steps.send(step);
    }
}
