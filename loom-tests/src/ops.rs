//! Operations of models, which no kernel sees.

use filch_atomic::current::WaitKind;
use filch_uring::{Operation, WaitWithout};
use io_uring::squeue;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::io;

/// What [`Counted`] operations are completed with.
pub const SUCCESS: i32 = 7;

/// What they all say.
macro_rules! without_a_kernel {
    () => {
        fn entry(&mut self) -> squeue::Entry {
            unreachable!("no kernel in a model")
        }

        fn call(&mut self) -> io::Result<i32> {
            unreachable!("no kernel in a model")
        }

        fn wait_without(&self) -> WaitWithout {
            WaitWithout::Immediate
        }

        fn complete(self, _: io::Result<i32>) {}

        fn lost(_: io::Error) {}
    };
}

/// It counts how often it is disposed of.
#[derive(Debug)]
pub struct Counted<const TO_ITS_END: bool>(Arc<AtomicUsize>);

/// One that is given up with its future.
pub type Probe = Counted<false>;

/// One that is not.
pub type ToItsEnd = Counted<true>;

impl<const TO_ITS_END: bool> Counted<TO_ITS_END> {
    /// Counts there.
    pub fn new(disposed: Arc<AtomicUsize>) -> Self {
        Self(disposed)
    }
}

// SAFETY: never given to a kernel.
unsafe impl<const TO_ITS_END: bool> Operation for Counted<TO_ITS_END> {
    type Output = ();
    const NAME: &'static str = if TO_ITS_END { "to its end" } else { "probe" };
    const CANCEL_ON_DROP: bool = !TO_ITS_END;
    const WAIT: WaitKind = WaitKind::Other;

    without_a_kernel!();

    fn dispose(self, result: io::Result<i32>) {
        assert_eq!(result.expect("every completion here is a success"), SUCCESS);
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// It owns nothing, and may be lost.
#[derive(Debug)]
pub struct Nothing;

// SAFETY: never given to a kernel.
unsafe impl Operation for Nothing {
    type Output = ();
    const NAME: &'static str = "nothing";
    const WAIT: WaitKind = WaitKind::Other;

    without_a_kernel!();

    fn dispose(self, _: io::Result<i32>) {}
}
