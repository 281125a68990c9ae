//! `event-listener`, on which `async-lock` and `async-channel` are built.

use std::sync::Arc;

use super::{Event, name};

/// An event that notifies everybody.
#[derive(Debug)]
pub struct Listened(Arc<event_listener::Event>);

impl Event for Listened {
    const NAME: &'static str = name::EVENT_LISTENER;
    type Waiter = Arc<event_listener::Event>;

    fn new() -> Self {
        Self(Arc::default())
    }

    fn waiter(&self) -> Self::Waiter {
        self.0.clone()
    }

    async fn wait(waiter: &mut Self::Waiter) {
        waiter.listen().await;
    }

    fn wait_owned(waiter: Self::Waiter) -> impl Future<Output: Send> + Send + 'static {
        waiter.listen()
    }

    fn pulse(&self) {
        self.0.notify(usize::MAX);
    }
}
