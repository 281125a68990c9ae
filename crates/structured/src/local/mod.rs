#![doc = include_str!("README.md")]

mod children;
mod handle;
mod set;
mod woken;

pub use handle::LocalHandle;
pub use set::{local_set, spawn_local};

use children::{Child, Children, Shared};
use filch_atomic::panics;
use filch_sched::scope::cancellable;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Runs `body`, which may begin children that borrow from outside of it, and ends when it and all of them have
/// ended.
///
/// The children are part of this task: they run concurrently with each other and with the body, and one at a
/// time, on whichever worker the task is. That is what makes borrowing sound, and what they cost. A child is
/// polled when it was woken, not when another one was.
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run};
/// # use filch_structured::local_scope;
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let text = String::from("to be or not to be");
/// let (words, letters) = local_scope(async |s| {
///     let words = s.spawn(async { text.split(' ').count() });
///     let letters = s.spawn(async { text.chars().filter(|c| c.is_alphabetic()).count() });
///     Ok::<_, filch_sched::scope::Cancelled>((words.await?, letters.await?))
/// })
/// .await
/// .unwrap();
/// assert_eq!((words, letters), (6, 13));
/// # }).unwrap();
/// ```
///
/// What a child borrows has to be older than the scope: not what the body itself makes.
///
/// ```compile_fail,E0597
/// # use filch_structured::local_scope;
/// # async fn example() {
/// local_scope(async |s| {
///     let made_in_the_body = vec![1, 2, 3];
///     s.spawn(async { drop(made_in_the_body.len()) });
/// })
/// .await;
/// # }
/// ```
///
/// And it cannot keep what it borrows for longer than that:
///
/// ```compile_fail,E0597
/// # use filch_structured::local_scope;
/// # async fn example() {
/// let handle = {
///     let short = vec![1, 2, 3];
///     local_scope(async |s| s.spawn(async { &short })).await
/// };
/// drop(handle);
/// # }
/// ```
///
/// Like every future in a task, children are `Send`, also where this task is the main future.
/// [`local_set`] is for those that are not.
///
/// A panic, of the body or a child, unwinds through the scope as through any code of the task, and drops what is
/// left in it.
///
/// # Cancel safety
///
/// Dropping it drops the children, the youngest first, and then the body. They are cancelled as what they are: code
/// of the task; each in a [boundary](cancellable) of its own, so its handle then gives `Err(Cancelled)`.
///
/// # Deadlocks
///
/// Members that wait for one another wait for ever, as anywhere. One that blocks the thread blocks all of them.
#[doc(alias = "scope")]
#[doc(alias = "moro")]
pub async fn local_scope<'env, B, F>(body: B) -> F::Output
where
    B: FnOnce(LocalScope<'env>) -> F,
    F: Future,
{
    // Dropped in the order that the documentation tells: from the last one up.
    let mut output = None;
    let children = Children::new();
    let shared = children.shared().clone();
    let mut body = pin!(Some(body(LocalScope { shared })));
    let mut children = children;
    poll_fn(|cx| {
        let mut is_over = output.is_some();
        children.poll(cx, &mut is_over, |cx| {
            let Some(running) = body.as_mut().as_pin_mut() else { return true };
            if let Poll::Ready(given) = running.poll(cx) {
                output = Some(panics::ended(given, || body.set(None)));
            }
            output.is_some()
        })
    })
    .await;
    drop(children);
    output.expect("the body is over")
}

/// Begins children of a [`local_scope`]. Cheap to clone, so that children may begin others.
pub struct LocalScope<'env> {
    shared: Arc<Shared<Child<'env>>>,
}

impl<'env> LocalScope<'env> {
    /// Begins a child. It is polled first when the body waits, in the order in which they were begun.
    ///
    /// When the scope is over, `future` is dropped at once, and the handle gives `Err(Cancelled)`.
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "start_soon")]
    pub fn spawn<F>(&self, future: F) -> LocalHandle<F::Output>
    where
        F: Future + Send + 'env,
        F::Output: Send + 'env,
    {
        let (giver, handle) = handle::output(Location::caller());
        let bounded = cancellable(future);
        // The future is dropped before its output is given.
        let child = async move {
            let output = bounded.await;
            giver.give(output);
        };
        // One that is refused is dropped here.
        drop(self.shared.add(Box::pin(child)));
        handle
    }

    /// Asks all children to end, those included that are yet to come: each is cut where it waits, after what is
    /// in it has had its say, and its handle gives `Err(Cancelled)`. The body goes on.
    ///
    /// It is a request, and this returns at once. Asking twice is asking once.
    pub fn cancel(&self) {
        self.shared.scope.cancel();
    }

    /// Whether the children were asked to end, by [`cancel`](Self::cancel) or from outside.
    pub fn is_cancelled(&self) -> bool {
        self.shared.scope.is_cancelled()
    }
}

impl Clone for LocalScope<'_> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl fmt::Debug for LocalScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalScope")
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
