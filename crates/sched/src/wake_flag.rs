//! Whether the main future is to be polled.

use filch_atomic::sync::atomic::{AtomicBool, Ordering};

/// Raised by wakers on any thread, lowered by the worker that polls the main future.
///
/// # Why no wake-up is lost (S2)
///
/// The worker lowers the flag and then polls; without a poll in hand it looks at the flag and, finding it
/// down, parks. Whoever raises it unparks the worker *afterwards*, and an unpark is a token. So a worker
/// that read the flag too early finds the token in its park, and with the token comes the flag: taking
/// the token acquires what was done before it was left. Of several wakers only the first to raise the
/// flag unparks. The others come between it and the lowering, so the poll that follows is theirs too: all
/// are read-modify-writes of one word, and the lowering acquires from each of them.
#[derive(Debug)]
pub struct WakeFlag(AtomicBool);

impl WakeFlag {
    /// A raised flag: the first poll needs no wake.
    pub fn new() -> Self {
        Self(AtomicBool::new(true))
    }

    /// Whether somebody raised it since it was lowered. For the worker.
    #[inline]
    pub fn is_raised(&self) -> bool {
        // Relaxed: `lower` acquires. Read stale before a park, it is made up for by the token.
        self.0.load(Ordering::Relaxed)
    }

    /// Lowers it, just before a poll. What its raisers did is seen by that poll; whoever raises it from now
    /// on causes another one (S3).
    pub fn lower(&self) {
        // Acquire, by a read-modify-write: pairs with the Release in `raise`, of every raiser.
        self.0.swap(false, Ordering::Acquire);
    }

    /// Raises it. True if it was down: then the caller must unpark the worker.
    #[must_use]
    pub fn raise(&self) -> bool {
        // Release: pairs with the Acquire in `lower`. A read-modify-write also when it is raised already,
        // so that what this raiser did is published too.
        !self.0.swap(true, Ordering::Release)
    }
}

impl Default for WakeFlag {
    fn default() -> Self {
        Self::new()
    }
}
