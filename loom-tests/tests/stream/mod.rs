//! Where a model of a stream begins.

use crate::kernel::{Kernel, descriptor, modelled};
use crate::waiting::Waiting;
use filch::models::{Stream, disposed};
use loom::sync::Arc;
use std::future::poll_fn;

/// A stream, and a kernel that has its first read, which nobody waits for.
pub(crate) fn with_a_pending_read(polled: bool) -> (Arc<Stream>, Kernel) {
    disposed();
    let mut kernel = Kernel::new();
    let stream = Arc::new(Stream::new(descriptor().0, kernel.remote()));
    if polled {
        assert!(Waiting::new(modelled(poll_fn(|cx| stream.poll_read(cx)))).poll().is_pending());
    } else {
        assert!(Waiting::new(modelled(stream.read())).poll().is_pending());
    }
    kernel.look();
    (stream, kernel)
}
