//! Ending a connection from within a request, without an answer or in the middle of one: for injected faults.

use std::convert::Infallible;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How a connection ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Orderly, as when a server stops: the client reads to the end of what was sent.
    Close,
    /// With a reset, as when a machine or a line fails.
    Reset,
}

impl End {
    /// Ends the connection.
    pub fn apply(self, stream: TcpStream) {
        if self == End::Reset
            && let Err(error) = stream.set_zero_linger()
        {
            log::debug!("a connection is closed, because it can't be reset: {error}");
        }
    }
}

/// What a request has its connection ended with.
#[derive(Clone, Debug)]
pub(super) struct Cut(mpsc::Sender<End>);

impl Cut {
    /// One for a connection, which ends it when the receiver gets something.
    pub fn new() -> (Self, mpsc::Receiver<End>) {
        let (sender, receiver) = mpsc::channel(1);
        (Cut(sender), receiver)
    }

    /// Ends the connection, and the request with it: this never answers.
    pub async fn now(&self, end: End) -> Infallible {
        // Full, another request has just ended the connection; closed, it has ended by itself.
        let _ = self.0.try_send(end);
        std::future::pending().await
    }
}
