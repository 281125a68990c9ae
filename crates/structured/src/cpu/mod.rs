#![doc = include_str!("README.md")]

#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod jobs;
mod queue;
#[cfg(not(filch_loom))]
mod scope;

#[cfg(not(filch_loom))]
pub use scope::{Scope, for_each_chunk, join, scope};

use filch_atomic::thread_local;
use jobs::Work;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// The scope whose body or job runs on this thread.
    static CURRENT: RefCell<Option<Arc<Work>>> = const { RefCell::new(None) };
}

/// Runs `f` as a part of `work`: scopes that it makes are within.
fn within<R>(work: &Arc<Work>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<Work>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let outer = self.0.take();
            let _inner = CURRENT.try_with(|current| current.replace(outer));
        }
    }
    // A thread on its way out has no place for it: a scope that is made there is an outermost one.
    let outer = CURRENT.try_with(|current| current.replace(Some(work.clone())));
    let _restore = outer.ok().map(Restore);
    f()
}

/// The scope that the code on this thread is a part of.
#[cfg(not(filch_loom))]
fn current() -> Option<Arc<Work>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}
