//! Children that stay on their thread.

use super::children::{Children, Shared};
use super::handle::{self, LocalHandle};
use filch_atomic::panics;
use filch_sched::scope::cancellable;
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

/// A child: it has given its output to its handle.
type Child = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// The sets that are polled, or dropped, on this thread, the innermost last.
    static CURRENT: RefCell<Vec<Arc<Shared<Child>>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body`, in which [`spawn_local`] begins children that need not be `Send`, and ends when it and all of them have
/// ended: a place for `Rc` and `RefCell` on a runtime whose tasks move.
///
/// Body and children are part of one future, as those of a [`local_scope`](super::local_scope()): they run concurrently
/// and one at a time. It is not `Send`, and so is for the future that stays where it is: the main future of a `run`,
/// or one that a thread blocks on. In any other task it does not compile:
///
/// ```compile_fail
/// # use filch_structured::local_set;
/// # use filch_sched::{spawn, task::Meta};
/// spawn(local_set(async {}), Meta::here());
/// ```
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run};
/// use filch_structured::{local_set, spawn_local};
/// use std::cell::Cell;
/// use std::rc::Rc;
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let total = Rc::new(Cell::new(0));
/// local_set(async {
///     for number in 1..=4 {
///         let total = total.clone();
///         spawn_local(async move { total.set(total.get() + number) });
///     }
/// })
/// .await;
/// assert_eq!(total.get(), 10);
/// # }).unwrap();
/// ```
///
/// A panic, of the body or a child, unwinds through the set and drops what is left in it.
///
/// # Cancel safety
///
/// As for [`local_scope`](super::local_scope()).
#[doc(alias = "LocalSet")]
pub async fn local_set<F: Future>(body: F) -> F::Output {
    // Dropped in the order of those of a scope: the children, the youngest first, then the body.
    let mut output = None;
    let children = Children::new();
    let shared = children.shared().clone();
    let mut body = pin!(Body { future: Some(body), shared: shared.clone() });
    let mut members = Members(Some(children), shared.clone());
    poll_fn(|cx| {
        let _here = Here::enter(&shared);
        let mut is_over = output.is_some();
        let children = members.0.as_mut().expect("they are there until they are dropped");
        children.poll(cx, &mut is_over, |cx| {
            let mut body = body.as_mut().project();
            let Some(running) = body.future.as_mut().as_pin_mut() else { return true };
            if let Poll::Ready(given) = running.poll(cx) {
                output = Some(panics::ended(given, || body.future.set(None)));
            }
            output.is_some()
        })
    })
    .await;
    drop(members);
    output.expect("the body is over")
}

/// Begins a child of the [`local_set`] that runs here. It is polled first when the one that begins it waits, in the order
/// in which they were begun, and on this thread alone.
///
/// The handle yields its output, or `Err(Cancelled)` where there is none. Dropping it ends nothing. In a set that is being
/// dropped, `future` is dropped at once.
///
/// # Panics
///
/// Where no set runs.
#[track_caller]
pub fn spawn_local<F>(future: F) -> LocalHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let current = CURRENT.try_with(|current| current.borrow().last().cloned());
    let Some(shared) = current.ok().flatten() else {
        panic!("`spawn_local` is for code in a `local_set`: no set runs here");
    };
    let (giver, handle) = handle::output(Location::caller());
    let bounded = cancellable(future);
    // The future is dropped before its output is given.
    let child = async move {
        let output = bounded.await;
        giver.give(output);
    };
    // One that is refused is dropped here.
    drop(shared.add(Box::pin(child)));
    handle
}

/// While it exists, a set is the one of this thread.
struct Here;

impl Here {
    fn enter(shared: &Arc<Shared<Child>>) -> Option<Self> {
        // A thread on its way out has none.
        CURRENT.try_with(|current| current.borrow_mut().push(shared.clone())).ok().map(|()| Self)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // It is dropped when the list is not borrowed any more.
        let last = CURRENT.try_with(|current| current.borrow_mut().pop());
        drop(last);
    }
}

/// The children, whose destructors are in the set as well.
struct Members(Option<Children<Child>>, Arc<Shared<Child>>);

impl Drop for Members {
    fn drop(&mut self) {
        let _here = Here::enter(&self.1);
        self.0 = None;
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pin_project! {
    /// The body, whose destructor is.
    struct Body<F> {
        #[pin]
        future: Option<F>,
        shared: Arc<Shared<Child>>,
    }

    impl<F> PinnedDrop for Body<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _here = Here::enter(this.shared);
            this.future.set(None);
        }
    }
}
