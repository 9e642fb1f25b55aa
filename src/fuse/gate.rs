//! Keeps the kernel from being told of a name in the mount's root while somebody waits there for the service.
//!
//! Telling of a name takes the directory's lock in the kernel (`fuse_reverse_inval_entry`), and who makes or removes a vault has it until
//! the answer. A daemon that is killed while one of its threads waits for that lock never ends: the connection stays open, so
//! nobody is answered, and nobody gives the lock up.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Counts who waits.
#[derive(Default)]
pub(super) struct Gate {
    waiting: Mutex<usize>,
    nobody: Condvar,
}

/// One who waits, until it is dropped.
pub(super) struct Inside(Arc<Gate>);

impl Gate {
    /// Somebody waits from now on.
    pub(super) fn enter(self: &Arc<Self>) -> Inside {
        *self.lock() += 1;
        Inside(self.clone())
    }

    /// Blocks until nobody waits. Somebody may begin to in the moment after, and is answered like any other.
    pub(super) fn pass(&self) {
        // The lock of a panicked thread is as good.
        drop(self.nobody.wait_while(self.lock(), |waiting| *waiting > 0).unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.nobody.notify_all();
    }
}
