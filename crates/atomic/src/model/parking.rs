//! Threads that park, for loom: its own unpark takes whatever a thread is blocked in for a park, a lock too.

use crate::sync::{Arc, Condvar, Mutex};

crate::thread_local! {
    static CURRENT: Thread = Thread(Arc::new(Token { is_set: Mutex::new(false), set: Condvar::new() }));
}

/// A thread, for others to unpark.
#[derive(Clone, Debug)]
pub struct Thread(Arc<Token>);

#[derive(Debug)]
struct Token {
    is_set: Mutex<bool>,
    set: Condvar,
}

impl Thread {
    /// Ends its park, or makes its next one return at once.
    pub fn unpark(&self) {
        *self.0.is_set.lock() = true;
        self.0.set.notify_one();
    }
}

/// The one that this is.
pub fn current() -> Thread {
    CURRENT.with(Thread::clone)
}

/// Sleeps until somebody unparks this thread, or has done so.
pub fn park() {
    let Thread(token) = current();
    let mut is_set = token.is_set.lock();
    while !*is_set {
        token.set.wait(&mut is_set);
    }
    *is_set = false;
}
