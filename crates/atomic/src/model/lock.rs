//! The interface of `parking_lot`'s locks over a model checker's, which are shaped like `std`'s.

use super::checker;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// A lock that does not poison.
#[derive(Debug, Default)]
pub struct Mutex<T>(checker::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked lock around `value`.
    pub fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
    }

    /// Takes the lock, waiting for it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, held: Some(self.0.lock().unwrap()) }
    }

    /// Takes the lock if nobody holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|held| MutexGuard { lock: self, held: Some(held) })
    }

    /// The value of a lock nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap()
    }

    /// Takes the value out of a lock nobody else has.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap()
    }
}

/// Holds a [`Mutex`].
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    /// Empty only inside [`Condvar::wait`], which takes a guard by value underneath.
    held: Option<checker::sync::MutexGuard<'a, T>>,
}

impl<'a, T> MutexGuard<'a, T> {
    /// The lock that it holds.
    pub fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.lock
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("a guard is only empty while it waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("a guard is only empty while it waits")
    }
}

/// A lock that many may read through at once. It does not poison.
#[derive(Debug, Default)]
pub struct RwLock<T>(checker::sync::RwLock<T>);

/// Holds a [`RwLock`] for reading.
pub type RwLockReadGuard<'a, T> = checker::sync::RwLockReadGuard<'a, T>;
/// Holds a [`RwLock`] for writing.
pub type RwLockWriteGuard<'a, T> = checker::sync::RwLockWriteGuard<'a, T>;

impl<T> RwLock<T> {
    /// An unlocked lock around `value`.
    pub fn new(value: T) -> Self {
        Self(checker::sync::RwLock::new(value))
    }

    /// Takes the lock for reading, past writers that wait. A model's readers do so anyway.
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap()
    }

    /// Takes the lock for writing.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap()
    }
}

/// A condition variable. Its timed wait never times out: a model has no time.
#[derive(Debug, Default)]
pub struct Condvar(checker::sync::Condvar);

impl Condvar {
    /// A condition variable nobody waits on.
    pub fn new() -> Self {
        Self(checker::sync::Condvar::new())
    }

    /// Releases the lock, sleeps until notified, takes the lock again.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("a guard waits once at a time");
        guard.held = Some(self.0.wait(held).unwrap());
    }

    /// As [`wait`](Self::wait); always false, for there is no time to run out.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) -> bool {
        self.wait(guard);
        false
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
