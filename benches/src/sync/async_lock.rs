//! `async-lock`. Its mutex, semaphore and reader-writer lock let newcomers barge in before those who were woken.

use std::ops::{Deref, DerefMut};

use super::{Barrier, Mutex, RwLock, Semaphore, name};

impl Mutex for async_lock::Mutex<u64> {
    const NAME: &'static str = name::ASYNC_LOCK;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn lock(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send {
        self.lock()
    }
}

impl RwLock for async_lock::RwLock<u64> {
    const NAME: &'static str = name::ASYNC_LOCK;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn read(&self) -> impl Future<Output = impl Deref<Target = u64> + Send> + Send {
        self.read()
    }

    fn write(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send {
        self.write()
    }
}

impl Semaphore for async_lock::Semaphore {
    const NAME: &'static str = name::ASYNC_LOCK;

    fn new(permits: usize) -> Self {
        Self::new(permits)
    }

    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        self.acquire()
    }
}

impl Barrier for async_lock::Barrier {
    const NAME: &'static str = name::ASYNC_LOCK;

    fn new(count: usize) -> Self {
        Self::new(count)
    }

    async fn wait(&self) {
        self.wait().await;
    }
}
