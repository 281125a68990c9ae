//! `filch_sync::Event`.

use std::sync::Arc;

use crate::sync::{Event, name};

impl Event for Arc<filch_sync::Event> {
    const NAME: &'static str = name::FILCH;
    type Waiter = Self;

    fn new() -> Self {
        Self::default()
    }

    fn waiter(&self) -> Self {
        self.clone()
    }

    async fn wait(waiter: &mut Self) {
        filch_sync::Event::wait(waiter).await;
    }

    fn wait_owned(waiter: Self) -> impl Future<Output: Send> + Send + 'static {
        filch_sync::Event::wait_owned(waiter)
    }

    fn pulse(&self) {
        self.set();
        self.clear();
    }
}
