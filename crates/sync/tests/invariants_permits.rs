//! I1 to I6 of `docs/semantics.md`, for what hands out permits: each small program of polls, drops and
//! grants.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_sync::{
    BoundedSemaphore, Closed, OwnedPermit, OwnedReadGuard, OwnedWriteGuard, Permit, ReadGuard,
    RwLock, Semaphore, WriteGuard,
};
use filch_testkit::invariants::{Reach, Rules, Subject, Wait, check};
use std::sync::{Arc, Mutex};

struct Permits(Semaphore);

impl Subject for Permits {
    type Got<'a> = Permit<'a>;
    const RULES: Rules = Rules::new(Reach::First).kept().returned().grants(3).gives_way();

    fn new() -> Self {
        Self(Semaphore::new(0))
    }

    fn wait(&self) -> Wait<'_, Permit<'_>> {
        let wait = self.0.acquire();
        Box::pin(async { wait.await.expect("nobody closes it") })
    }

    fn grant(&self) {
        self.0.add_permits(1);
    }

    fn at_rest(&self, unclaimed: u32) {
        assert_eq!(self.0.available_permits(), unclaimed as usize);
        let free: Vec<_> = std::iter::from_fn(|| self.0.try_acquire().ok()).collect();
        assert_eq!(free.len(), unclaimed as usize);
    }
}

#[test]
fn semaphore() {
    check::<Permits>();
}

/// Each takes two, which come one by one.
struct Pairs(Arc<Semaphore>);

impl Subject for Pairs {
    type Got<'a> = OwnedPermit;
    const RULES: Rules = Rules::new(Reach::First).kept().returned().grants(3).gives_way();

    fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    fn wait(&self) -> Wait<'_, OwnedPermit> {
        let wait = self.0.clone().acquire_many_owned(2);
        Box::pin(async { wait.await.expect("nobody closes it") })
    }

    fn grant(&self) {
        self.0.add_permits(1);
        self.0.add_permits(1);
    }

    fn at_rest(&self, unclaimed: u32) {
        assert_eq!(self.0.available_permits(), 2 * unclaimed as usize);
        assert_eq!(Arc::strong_count(&self.0), 1, "no wait is left");
    }
}

#[test]
fn semaphore_by_twos() {
    check::<Pairs>();
}

struct Ending(Semaphore);

impl Subject for Ending {
    type Got<'a> = Closed;
    const RULES: Rules = Rules::new(Reach::Everyone).kept();

    fn new() -> Self {
        Self(Semaphore::new(0))
    }

    fn wait(&self) -> Wait<'_, Closed> {
        let wait = self.0.acquire();
        Box::pin(async { wait.await.expect_err("there are no permits") })
    }

    fn grant(&self) {
        self.0.close();
    }

    fn at_rest(&self, _unclaimed: u32) {
        assert_eq!(self.0.available_permits(), 0);
    }
}

#[test]
fn semaphore_closed() {
    check::<Ending>();
}

struct Bounded(BoundedSemaphore);

impl Subject for Bounded {
    type Got<'a> = Permit<'a>;
    const RULES: Rules =
        Rules::new(Reach::First).kept().returned().at_first(2).grants(0).gives_way();

    fn new() -> Self {
        Self(BoundedSemaphore::new(2))
    }

    fn wait(&self) -> Wait<'_, Permit<'_>> {
        let wait = self.0.acquire();
        Box::pin(async { wait.await.expect("nobody closes it") })
    }

    fn grant(&self) {
        unreachable!("all its permits are there at first");
    }

    fn at_rest(&self, unclaimed: u32) {
        assert_eq!(unclaimed, 2);
        assert_eq!(self.0.available_permits(), 2);
        assert!(self.0.release(1).is_err(), "all are back");
    }
}

#[test]
fn bounded_semaphore() {
    check::<Bounded>();
}

/// Readers, while there is a writer at first.
struct Readers(Arc<RwLock<()>>, Mutex<Option<OwnedWriteGuard<()>>>);

impl Subject for Readers {
    type Got<'a> = ReadGuard<'a, ()>;
    const RULES: Rules = Rules::new(Reach::Everyone).kept().gives_way();

    fn new() -> Self {
        let lock = Arc::new(RwLock::new(()));
        let writer = lock.clone().try_write_owned();
        assert!(writer.is_some());
        Self(lock, Mutex::new(writer))
    }

    fn wait(&self) -> Wait<'_, ReadGuard<'_, ()>> {
        Box::pin(self.0.read())
    }

    fn grant(&self) {
        self.1.lock().unwrap().take();
    }

    fn at_rest(&self, _unclaimed: u32) {
        self.grant();
        assert!(self.0.try_write().is_some(), "nobody reads");
    }
}

#[test]
fn rwlock_read() {
    check::<Readers>();
}

/// Writers, while there is a reader at first.
struct Writers(Arc<RwLock<()>>, Mutex<Option<OwnedReadGuard<()>>>);

impl Subject for Writers {
    type Got<'a> = WriteGuard<'a, ()>;
    const RULES: Rules = Rules::new(Reach::First).kept().returned().grants(1).gives_way();

    fn new() -> Self {
        let lock = Arc::new(RwLock::new(()));
        let reader = lock.clone().try_read_owned();
        assert!(reader.is_some());
        Self(lock, Mutex::new(reader))
    }

    fn wait(&self) -> Wait<'_, WriteGuard<'_, ()>> {
        Box::pin(self.0.write())
    }

    fn grant(&self) {
        self.1.lock().unwrap().take();
    }

    fn at_rest(&self, unclaimed: u32) {
        assert!(self.0.try_read().is_some(), "nobody writes, and nobody waits to");
        assert_eq!(self.0.try_write().is_some(), unclaimed == 1);
    }
}

#[test]
fn rwlock_write() {
    check::<Writers>();
}
