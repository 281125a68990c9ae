#![doc = include_str!("README.md")]

mod child;
mod state;
mod task;

pub use child::EnvHandle;
pub use task::EnvTask;

use child::{Child, Place};
use filch_sched::scope::cancellable;
use filch_sched::task::Meta;
use state::{Joiner, Shared, Spawning};
use std::fmt;
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;

/// Lends `env` to `body` and to the tasks that it begins, waits for all of them, and gives it back, with what the
/// body yields.
///
/// The children are tasks of their own: they run in parallel, wherever there is a worker free. Each is an async
/// closure or function that is given `&E`. What else it needs it has to own.
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run};
/// # use filch_structured::scope_with;
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// struct Env {
///     words: Vec<&'static str>,
///     longest: std::sync::Mutex<usize>,
/// }
/// let env = Env { words: vec!["to", "borrow", "is", "to", "return"], longest: 0.into() };
///
/// let (in_all, env) = scope_with(env, async |s, env| {
///     let count = s.spawn(async |env| env.words.iter().map(|word| word.len()).sum::<usize>());
///     for place in 0..env.words.len() {
///         s.spawn(async move |env| {
///             let mut longest = env.longest.lock().unwrap();
///             *longest = env.words[place].len().max(*longest);
///         });
///     }
///     count.await.unwrap()
/// })
/// .await;
/// assert_eq!((in_all, env.longest.into_inner().unwrap()), (18, 6));
/// # }).unwrap();
/// ```
///
/// What is lent cannot be kept:
///
/// ```compile_fail
/// # use filch_structured::scope_with;
/// # async fn example() {
/// scope_with(vec![1, 2, 3], async |s, _| s.spawn(async |env| &env[0]).await).await;
/// # }
/// ```
///
/// Nor can a child borrow anything else:
///
/// ```compile_fail,E0597
/// # use filch_structured::scope_with;
/// # async fn example() {
/// let other = vec![1];
/// scope_with((), async |s, _| drop(s.spawn(async |_| other.len()))).await;
/// # }
/// ```
///
/// And what it keeps while it waits may go to another thread:
///
/// ```compile_fail
/// # use filch_structured::scope_with;
/// # async fn example() {
/// scope_with((), async |s, _| {
///     s.spawn(async |_| {
///         let here_only = std::rc::Rc::new(1);
///         filch_sched::task::yield_now().await;
///         drop(here_only);
///     });
/// })
/// .await;
/// # }
/// ```
///
/// # Panics
///
/// With the first panic, of the body or a child, when all others were cancelled and have ended. Other panics go to the
/// error hook ([`Report::TaskPanicked`](filch_sched::task::Report::TaskPanicked)). And if it begins a child where there
/// is no runtime.
///
/// # Cancel safety
///
/// When it is cancelled, the body is cut where it waits, the children are asked to end
/// ([`JoinHandle::cancel`](filch_sched::task::JoinHandle::cancel)), and what is around waits until they have; `env`
/// is dropped then. Dropping it asks the children to end and waits for none: `env` goes with the last of them, and
/// their panics go to the error hook.
pub async fn scope_with<E, B, T>(env: E, body: B) -> (T, E)
where
    E: Send + Sync + 'static,
    B: AsyncFnOnce(EnvScope<E>, &E) -> T,
{
    let env = Arc::new(env);
    let mut joiner = Joiner::new(env.clone());
    let mut output = None;
    {
        let scope = EnvScope { shared: joiner.shared().clone() };
        let mut body = pin!(Some(cancellable(body(scope, &env))));
        poll_fn(|cx| joiner.poll(cx, body.as_mut(), &mut output)).await;
    }
    if let Some(payload) = joiner.take_panic() {
        resume_unwind(payload);
    }
    // What holds up those around.
    drop(joiner);
    match output {
        Some(Ok(output)) => (output, Arc::into_inner(env).expect("all children are over")),
        // The body was cut: from outside, for nobody panicked. So something around is about to be.
        _ => {
            drop(env);
            pending().await
        }
    }
}

/// Begins children of a [`scope_with`]. Cheap to clone, so that children may begin others.
pub struct EnvScope<E> {
    shared: Arc<Shared<E>>,
}

impl<E: Send + Sync + 'static> EnvScope<E> {
    /// Begins a child, a task of its own: `async move |env| ..`, or an `async fn` that takes `&E`.
    ///
    /// When the scope is over, `child` is dropped at once, and the handle gives `Err(Cancelled)`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "start_soon")]
    pub fn spawn<T, F>(&self, child: F) -> EnvHandle<T>
    where
        T: Send + 'static,
        // The first has the compiler know the type of the argument; the second that the future is `Send`.
        F: AsyncFnOnce(&E) -> T + for<'a> EnvTask<'a, E, Output = T> + 'static,
    {
        let Some((number, env)) = self.shared.begin() else { return EnvHandle::new(None) };
        let spawning = Spawning::new(&self.shared, number);
        let place = Place { shared: self.shared.clone(), number };
        let running = async move { child.call(&env).await };
        let task = self.shared.keeper.spawn(Child::new(running, place), Meta::here());
        spawning.done(task.abort_handle());
        EnvHandle::new(Some(task))
    }
}

impl<E> EnvScope<E> {
    /// Asks all children to end, those included that are yet to come. The body goes on.
    ///
    /// It is a request, and this returns at once. Asking twice is asking once.
    pub fn cancel(&self) {
        self.shared.ask();
    }
}

impl<E> Clone for EnvScope<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E> fmt::Debug for EnvScope<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvScope").finish_non_exhaustive()
    }
}
