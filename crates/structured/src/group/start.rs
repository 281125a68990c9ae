//! A child that tells when it is ready.

use super::BoxError;
use super::child::Fallible;
use super::child_handle::ChildHandle;
use super::core::Core;
use super::error::{Cause, Failure};
use super::handle::TaskGroup;
use filch_atomic::sync::{Arc, Mutex};
use filch_sched::scope::Cancelled;
use filch_sched::task::{self, Meta};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::{fmt, mem};

/// By this a child that was [started](TaskGroup::start) tells that it is ready.
///
/// Dropped without having been set, it tells nothing: whoever waits hears when the child ends.
#[doc(alias = "TaskStatus")]
pub struct Ready<V>(Arc<Shared<V>>);

struct Shared<V>(Mutex<(State<V>, Option<Waker>)>);

enum State<V> {
    /// The child has said nothing.
    Starting,
    Ready(V),
    /// The child is over, and was not ready.
    Over(Why),
    /// It was said, and taken; or nobody waits.
    Done,
}

enum Why {
    /// It has failed.
    Failed(Failure),
    /// It was cancelled, or has no more to say than that.
    Ended(BoxError),
}

impl<V> Shared<V> {
    /// Says what there is to say, if nothing was said yet and somebody waits. Else gives it back.
    fn say(&self, state: State<V>) -> Result<(), State<V>> {
        let waker = {
            let mut shared = self.0.lock();
            if !matches!(shared.0, State::Starting) {
                return Err(state);
            }
            shared.0 = state;
            shared.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<V> Ready<V> {
    /// The child is ready, with this to show for it.
    ///
    /// Gives the value back if nobody waits any more. The child is being cancelled then.
    #[doc(alias = "started")]
    pub fn set(self, value: V) -> Option<V> {
        match self.0.say(State::Ready(value)) {
            Err(State::Ready(value)) => Some(value),
            _ => None,
        }
    }
}

impl<V> fmt::Debug for Ready<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// The future that [`TaskGroup::start`] returns.
#[must_use = "dropped, it cancels the child"]
pub struct Start<V> {
    shared: Arc<Shared<V>>,
    child: ChildHandle<()>,
}

impl<V: Send + 'static> Start<V> {
    pub(super) fn new<T, E, M, F>(group: &TaskGroup, make: M, meta: Meta) -> Self
    where
        M: FnOnce(Ready<V>) -> F,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let shared = Arc::new(Shared(Mutex::new((State::Starting, None))));
        let future = make(Ready(shared.clone()));
        let end = End(shared.clone());
        let core = group.core().clone();
        let child = async move {
            let ended = future.await;
            end.tell(ended.map(drop), &core)
        };
        Self { shared, child: group.spawn_as::<Fallible, _>(child, meta) }
    }
}

impl<V> Future for Start<V> {
    type Output = Result<V, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.child.is_refused() {
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let mut shared = self.shared.0.lock();
        if matches!(shared.0, State::Starting) {
            let old = shared.1.replace(waker);
            drop(shared);
            drop(old);
            return Poll::Pending;
        }
        let said = mem::replace(&mut shared.0, State::Done);
        drop(shared);
        match said {
            State::Ready(value) => Poll::Ready(Ok(value)),
            State::Over(Why::Failed(failure)) => Poll::Ready(Err(failure.into_error())),
            State::Over(Why::Ended(error)) => Poll::Ready(Err(error)),
            State::Starting | State::Done => panic!("a start was polled after it had been ready"),
        }
    }
}

impl<V> Drop for Start<V> {
    fn drop(&mut self) {
        let said = {
            let mut shared = self.shared.0.lock();
            (mem::replace(&mut shared.0, State::Done), shared.1.take())
        };
        if !matches!(said.0, State::Done) {
            self.child.cancel();
        }
        // It has failed, and who was to be told is gone: so it is the group's.
        if let (State::Over(Why::Failed(failure)), _) = said
            && let Some(core) = self.child.core()
        {
            core.fail(failure);
        }
    }
}

impl<V> fmt::Debug for Start<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("child", &self.child).finish_non_exhaustive()
    }
}

/// Tells of a child's end whoever waits for it to be ready.
struct End<V>(Arc<Shared<V>>);

impl<V> End<V> {
    /// It has ended so. What nobody waits for is the group's.
    fn tell<E: Into<BoxError> + 'static>(self, ended: Result<(), E>, core: &Core) -> Result<(), E> {
        // Only the child says anything, so what is still open stays so, or nobody waits any more.
        if !matches!(self.0.0.lock().0, State::Starting) {
            return ended;
        }
        let why = match ended.map_err(Cause::sorted) {
            Ok(()) => Why::Ended(NotReady(()).into()),
            Err(Ok(cause)) => Why::Failed(Failure::of(task::meta(), cause)),
            Err(Err(cancelled)) => Why::Ended(cancelled),
        };
        // Whoever waited may have gone just now.
        if let Err(State::Over(Why::Failed(failure))) = self.0.say(State::Over(why)) {
            core.fail(failure);
        }
        Ok(())
    }
}

impl<V> Drop for End<V> {
    fn drop(&mut self) {
        // Also for a panic: that is the group's, which cancels whoever waits; but a supervised group goes on.
        let _ = self.0.say(State::Over(Why::Ended(Box::new(Cancelled::new()))));
    }
}

/// A child that was started has ended well, and was never ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotReady(());

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the child ended before it was ready")
    }
}

impl Error for NotReady {}
