//! A resource, and code that uses it: it is closed behind that, on every path.

use crate::task::{Report, cancellable, shielded};
use filch_sched::task::report as tell;
use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

/// What is closed by something that waits, and may fail.
///
/// A destructor can do neither: it closes as well as it can, and nobody hears how that went.
#[doc(alias = "AsyncDrop")]
#[doc(alias = "AbstractAsyncContextManager")]
pub trait Close {
    /// What may go wrong.
    type Error: std::error::Error;

    /// Closes it, and says how that went.
    ///
    /// # Errors
    ///
    /// What went wrong with it, now or before. It is closed all the same.
    fn close(self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Runs `body` with a resource, closes that, and only then gives what the body gave.
///
/// The resource is closed behind a value, an error, a panic and a cancel, and the close is waited for. It is
/// shielded: no cancel and no timeout stops it in its midst. Where the way out is a cancel it is clean-up, and has the
/// runtime's grace (C4).
///
/// ```
/// use filch::fs::File;
/// use filch::io::Write;
///
/// # let path = std::env::temp_dir().join(format!("filch-with-doc-{}", std::process::id()));
/// # filch::run(async {
/// let written = filch::with(File::create(&path).await?, async |file| {
///     file.write_all(b"hello").await?;
///     Ok::<_, std::io::Error>(5)
/// });
/// // Had the close failed, that would be the error.
/// assert_eq!(written.await?, 5);
/// # std::fs::remove_file(&path)
/// # }).unwrap();
/// ```
///
/// In asyncio: `async with`.
///
/// # Errors
///
/// The body's, or else that of the close. A close that fails behind an error, a panic or a cancel has nobody
/// to tell: the error hook hears of it ([`Report::CloseFailed`]).
///
/// # Panics
///
/// With the panic of the body, when the resource is closed.
///
/// # Cancel safety
///
/// *Cancelled*, the body is cut where it waits, the resource is closed, and then what is around is cut.
/// *Dropped* (by `select!`, an abort), it cannot wait: body and resource are dropped, and the resource's
/// destructor does what it can.
#[doc(alias = "async with")]
#[track_caller]
pub fn with<R, T, E, F>(resource: R, body: F) -> impl Future<Output = Result<T, E>>
where
    R: Close,
    E: From<R::Error>,
    F: AsyncFnOnce(&mut R) -> Result<T, E>,
{
    let at = Location::caller();
    // Made here, so that a report of its clean-up names this call.
    let cut = cancellable(pending::<()>());
    async move {
        let mut resource = resource;
        match cancellable(caught(body(&mut resource))).await {
            Ok(Ok(Ok(value))) => {
                shielded(resource.close()).await?;
                Ok(value)
            }
            Ok(Ok(Err(error))) => {
                report(shielded(resource.close()).await, at);
                Err(error)
            }
            Ok(Err(payload)) => {
                report(shielded(resource.close()).await, at);
                resume_unwind(payload)
            }
            Err(_cancelled) => {
                // In this scope a boundary is cut at once: what is left is its clean-up, which has a grace.
                let close = async move || report(resource.close().await, at);
                let _ = cut.on_cancel(close).await;
                // The cancel is still in force: what is around is cut here.
                pending().await
            }
        }
    }
}

/// Polls `future`, and catches its panic.
async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or_else(|payload| Poll::Ready(Err(payload)), |polled| polled.map(Ok))
    })
    .await
}

/// The way out is taken already.
fn report<E: std::error::Error>(closed: Result<(), E>, at: &'static Location<'static>) {
    if let Err(error) = closed {
        tell(&Report::close_failed(at, error.to_string()));
    }
}
