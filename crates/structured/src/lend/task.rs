//! What can be a child of a scope that lends.

use std::future::Future;

/// An async closure or function that is called with what a scope lends, and can be a task of its own: what
/// [`EnvScope::spawn`](super::EnvScope::spawn) takes.
///
/// That is `async move |env: &E| ..`, `async fn child(env: &E)`, or a closure that returns a future, if all that
/// it captures, and all that it keeps while it waits, may go to another thread. It is implemented for these; nobody
/// else need do so.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a child of a scope that lends a `{E}`",
    label = "neither an async closure nor an async function that takes `&{E}`",
    note = "a child is `async move |env| ..` or `async fn child(env: &{E})`, and it and its future have to be `Send`"
)]
pub trait EnvTask<'a, E: 'a>: Send {
    /// What it yields.
    type Output;

    /// Calls it.
    fn call(self, env: &'a E) -> impl Future<Output = Self::Output> + Send;
}

impl<'a, E, F, U> EnvTask<'a, E> for F
where
    E: 'a,
    F: FnOnce(&'a E) -> U + Send,
    U: Future + Send + 'a,
{
    type Output = U::Output;

    fn call(self, env: &'a E) -> impl Future<Output = U::Output> + Send {
        self(env)
    }
}
