//! Changes that didn't come through the kernel, and who tells it of them.

use std::sync::OnceLock;

use crate::catalog::Ino;

/// A change that didn't come through the kernel, which may have cached what was there before.
#[derive(Clone, Debug)]
pub enum Invalidate {
    /// A name, and so its directory's listing.
    Entry {
        /// The directory.
        parent: Ino,
        /// The name.
        name: Vec<u8>,
    },
    /// An inode's attributes and pages.
    Inode(Ino),
}

type Tell = Box<dyn Fn(&Invalidate) + Send + Sync>;

/// Tells the kernel of changes, once there is a mount.
#[derive(Default)]
pub struct Invalidator(OnceLock<Tell>);

impl Invalidator {
    /// Has `tell` do it from now on. To be called once, when the mount is there.
    pub fn set(&self, tell: impl Fn(&Invalidate) + Send + Sync + 'static) {
        // A second call would be a second mount of one daemon, which there isn't.
        let _ = self.0.set(Box::new(tell));
    }

    /// Tells the kernel of `what`; without a mount there is nobody to tell.
    pub fn tell(&self, what: &Invalidate) {
        if let Some(tell) = self.0.get() {
            tell(what);
        }
    }
}
