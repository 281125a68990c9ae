//! Who is in a scope, and its end.

use filch_atomic::WakerCell;
pub(super) use filch_atomic::panics::Payload;
use filch_atomic::panics::caught;
use filch_atomic::scope::{Inside, Kind, Scope, enter};
use filch_atomic::sync::{Arc as ScopeArc, Mutex};
use filch_sched::Keeper;
use filch_sched::scope::around;
use filch_sched::task::{self, AbortHandle, ErrorHook, Meta, Report};
use filch_sched::{Handle, with_handle};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, mem};

/// What a scope, its handles and its children have in common.
pub(super) struct Shared<E> {
    /// Of the body. Cancelled from outside, or by a child that panics.
    pub(super) scope: ScopeArc<Scope>,
    /// Whoever waits for the end of the last child.
    waiter: WakerCell,
    /// Asks the children to end.
    pub(super) keeper: Keeper,
    state: Mutex<State<E>>,
}

struct State<E> {
    /// What is lent. `None` when the scope is over, and takes no more children.
    env: Option<Arc<E>>,
    running: usize,
    children: Vec<Known>,
    free: Vec<usize>,
    /// The children were asked to end, and so are those that are yet to come.
    is_asked: bool,
    /// Nobody waits for the children any more.
    is_abandoned: bool,
    /// The first.
    panic: Option<Panic>,
}

/// A panic, and who is to be told of it, as whose, if it does not go on.
struct Panic {
    payload: Payload,
    task: Meta,
    runtime: Option<Handle>,
}

impl Panic {
    /// Of the code that runs here.
    fn here(payload: Payload) -> Self {
        let task = task::meta().unwrap_or_else(Meta::here);
        Self { payload, task, runtime: Handle::try_current() }
    }

    fn report(self) {
        let report = Report::task_panicked(&self.task, self.payload);
        match self.runtime {
            Some(runtime) => runtime.report(&report),
            None => ErrorHook::default().report(&report),
        }
    }
}

/// What is known of a child.
enum Known {
    /// Nothing: the place is free.
    Free,
    /// It is about to be spawned.
    Begun,
    /// It was over before it was spawned, as far as the spawner knows.
    Over,
    Running(AbortHandle),
}

impl<E> Shared<E> {
    /// A place for a new child, and what is lent to it. `None` if the scope is over.
    pub(super) fn begin(&self) -> Option<(usize, Arc<E>)> {
        let mut state = self.state.lock();
        let env = state.env.clone()?;
        state.running += 1;
        let number = state.free.pop().unwrap_or_else(|| {
            state.children.push(Known::Free);
            state.children.len() - 1
        });
        state.children[number] = Known::Begun;
        Some((number, env))
    }

    /// The child in this place was spawned; or it was not, and is gone.
    fn begun(&self, number: usize, child: Option<&AbortHandle>) {
        let ask = {
            let mut state = self.state.lock();
            match (&state.children[number], child) {
                (Known::Begun, Some(child)) => {
                    state.children[number] = Known::Running(child.clone());
                    state.is_asked
                }
                _ => {
                    state.children[number] = Known::Free;
                    state.free.push(number);
                    false
                }
            }
        };
        if let Some(child) = child.filter(|_| ask) {
            cancel(child);
        }
    }

    /// The child in this place is over, and has given back what it was lent.
    pub(super) fn leave(&self, number: usize) {
        let (known, is_last) = {
            let mut state = self.state.lock();
            let known = mem::replace(&mut state.children[number], Known::Free);
            if let Known::Begun = known {
                state.children[number] = Known::Over;
            } else {
                state.free.push(number);
            }
            state.running -= 1;
            (known, state.running == 0)
        };
        drop(known);
        if is_last {
            tell(task::meta, || self.waiter.wake());
        }
    }

    /// Polls a part of the scope, the body or a child, and drops it when it is over. Its panic is the scope's; then
    /// there is no output.
    pub(super) fn poll_part<F: Future>(
        &self,
        mut part: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        let Some(running) = part.as_mut().as_pin_mut() else {
            panic!("a part of a scope was polled after it had been ready");
        };
        let mut output = match caught(|| running.poll(cx)) {
            Ok(polled) => Some(ready!(polled)),
            Err(payload) => {
                self.panicked(payload);
                None
            }
        };
        if !self.end(part) {
            self.catch(|| output = None);
        }
        Poll::Ready(output)
    }

    /// Drops a part of the scope, if it is there. False if that panicked.
    pub(super) fn end<F>(&self, mut part: Pin<&mut Option<F>>) -> bool {
        self.catch(|| part.set(None))
    }

    /// Runs code of the user's, whose panic is the scope's. False if there was one.
    fn catch(&self, run: impl FnOnce()) -> bool {
        match caught(run) {
            Ok(()) => true,
            Err(payload) => {
                self.panicked(payload);
                false
            }
        }
    }

    /// A child, or the body, panicked: all are to end. The first panic is kept for whoever waits, if there is
    /// somebody; any other is reported, under no lock.
    fn panicked(&self, payload: Payload) {
        let mut panic = Some(Panic::here(payload));
        {
            let mut state = self.state.lock();
            if state.panic.is_none() && !state.is_abandoned {
                state.panic = panic.take();
            }
        }
        if let Some(panic) = panic {
            panic.report();
        }
        tell(task::meta, || self.scope.cancel());
    }

    /// Asks all children to end, and those that are yet to come.
    pub(super) fn ask(&self) {
        let asked: Vec<_> = {
            let mut state = self.state.lock();
            if mem::replace(&mut state.is_asked, true) {
                return;
            }
            let running = state.children.iter().filter_map(|known| match known {
                Known::Running(child) => Some(child.clone()),
                _ => None,
            });
            running.collect()
        };
        asked.iter().for_each(cancel);
    }

    /// Takes the scope's own share in what is lent, if there is no child: then none can come any more.
    fn close_if_empty(&self) -> bool {
        let env = {
            let mut state = self.state.lock();
            if state.running > 0 {
                return false;
            }
            state.env.take()
        };
        drop(env);
        true
    }
}

/// A child that is being spawned. Should that panic, its place is free again.
pub(super) struct Spawning<'a, E> {
    shared: &'a Shared<E>,
    number: usize,
}

impl<'a, E> Spawning<'a, E> {
    pub(super) fn new(shared: &'a Shared<E>, number: usize) -> Self {
        Self { shared, number }
    }

    /// It was.
    pub(super) fn done(self, child: AbortHandle) {
        let this = mem::ManuallyDrop::new(self);
        this.shared.begun(this.number, Some(&child));
    }
}

impl<E> Drop for Spawning<'_, E> {
    fn drop(&mut self) {
        self.shared.begun(self.number, None);
    }
}

/// The scope, as the task has it that waits for it.
pub(super) struct Joiner<E> {
    shared: Arc<Shared<E>>,
    inside: Inside,
}

impl<E> Joiner<E> {
    /// A scope in the one that this is called in.
    pub(super) fn new(env: Arc<E>) -> Self {
        let inside = Inside::new(Kind::Boundary, around(), None);
        let state = State {
            env: Some(env),
            running: 0,
            children: Vec::new(),
            free: Vec::new(),
            is_asked: false,
            is_abandoned: false,
            panic: None,
        };
        let shared = Arc::new(Shared {
            scope: inside.scope().clone(),
            waiter: WakerCell::new(),
            keeper: Keeper::here(),
            state: Mutex::new(state),
        });
        Self { shared, inside }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<E>> {
        &self.shared
    }

    /// Polls the body, which leaves its output, until it is over and gone. Ready when all are over.
    pub(super) fn poll<F: Future>(
        &mut self,
        cx: &mut Context<'_>,
        mut body: Pin<&mut Option<F>>,
        output: &mut Option<F::Output>,
    ) -> Poll<()> {
        let scope = self.inside.scope();
        scope.register(cx.waker());
        self.shared.waiter.register(cx.waker());
        if body.is_some()
            && let Poll::Ready(given) = enter(scope, || self.shared.poll_part(body.as_mut(), cx))
        {
            *output = given;
        }
        if scope.is_cancelled() {
            // What is around waits until all are over.
            self.inside.hold();
            self.shared.ask();
        }
        if body.is_none() && self.shared.close_if_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The first panic. For when all are over.
    pub(super) fn take_panic(&self) -> Option<Payload> {
        self.shared.state.lock().panic.take().map(|panic| panic.payload)
    }
}

impl<E> Drop for Joiner<E> {
    /// Nobody waits any more: the children are asked to end, and have what they were lent until they do.
    fn drop(&mut self) {
        let (env, panic) = {
            let mut state = self.shared.state.lock();
            state.is_abandoned = true;
            (state.env.take(), state.panic.take())
        };
        drop(env);
        if let Some(panic) = panic {
            panic.report();
        }
        self.shared.ask();
    }
}

fn cancel(child: &AbortHandle) {
    tell(|| Some(child.meta()), || child.cancel());
}

/// Wakes somebody. A panic of that waker, which has to do with the task `whose`, is nobody's here, and keeps nobody
/// from anything: it is reported.
fn tell(whose: impl FnOnce() -> Option<Meta>, wake: impl FnOnce()) {
    if let Err(payload) = caught(wake) {
        let report = Report::waker_panicked(&whose().unwrap_or_else(Meta::here), payload);
        with_handle(|runtime| match runtime {
            Some(runtime) => runtime.report(&report),
            None => ErrorHook::default().report(&report),
        });
    }
}

impl<E> fmt::Debug for Shared<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("scope", &self.scope).finish_non_exhaustive()
    }
}
