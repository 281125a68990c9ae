//! `tokio::sync`. Its mutex, reader-writer lock and semaphore are first come, first served.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot, watch};

use super::{Barrier, Event, Mutex, Promise, Queue, RwLock, Semaphore, name};

impl Mutex for tokio::sync::Mutex<u64> {
    const NAME: &'static str = name::TOKIO;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn lock(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send {
        self.lock()
    }
}

impl RwLock for tokio::sync::RwLock<u64> {
    const NAME: &'static str = name::TOKIO;

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

impl Semaphore for tokio::sync::Semaphore {
    const NAME: &'static str = name::TOKIO;

    fn new(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire(&self) -> impl Send {
        self.acquire().await.expect("nobody closes it")
    }
}

impl Barrier for tokio::sync::Barrier {
    const NAME: &'static str = name::TOKIO;

    fn new(count: usize) -> Self {
        Self::new(count)
    }

    async fn wait(&self) {
        self.wait().await;
    }
}

/// `Notify`, everybody at once.
#[derive(Debug)]
pub struct Notified(Arc<tokio::sync::Notify>);

impl Event for Notified {
    const NAME: &'static str = name::TOKIO;
    type Waiter = Arc<tokio::sync::Notify>;

    fn new() -> Self {
        Self(Arc::default())
    }

    fn waiter(&self) -> Self::Waiter {
        self.0.clone()
    }

    async fn wait(waiter: &mut Self::Waiter) {
        waiter.notified().await;
    }

    fn wait_owned(waiter: Self::Waiter) -> impl Future<Output: Send> + Send + 'static {
        waiter.notified_owned()
    }

    fn pulse(&self) {
        self.0.notify_waiters();
    }
}

/// `watch`, whose value does not matter.
#[derive(Debug)]
pub struct Watched(watch::Sender<()>);

impl Event for Watched {
    const NAME: &'static str = name::TOKIO_WATCH;
    type Waiter = watch::Receiver<()>;

    fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    fn waiter(&self) -> Self::Waiter {
        self.0.subscribe()
    }

    async fn wait(waiter: &mut Self::Waiter) {
        waiter.changed().await.expect("the sender lives");
    }

    fn wait_owned(mut waiter: Self::Waiter) -> impl Future<Output: Send> + Send + 'static {
        async move { waiter.changed().await.expect("the sender lives") }
    }

    fn pulse(&self) {
        self.0.send_replace(());
    }
}

/// `mpsc`, for one consumer.
#[derive(Debug)]
pub struct Mpsc;

impl Queue for Mpsc {
    const NAME: &'static str = name::TOKIO;
    type Producer = mpsc::Sender<u64>;
    type Consumer = mpsc::Receiver<u64>;

    fn bounded(capacity: usize, consumers: usize) -> (Self::Producer, Vec<Self::Consumer>) {
        assert_eq!(consumers, 1, "a receiver cannot be shared");
        let (sender, receiver) = mpsc::channel(capacity);
        (sender, vec![receiver])
    }

    async fn put(producer: &mut Self::Producer, item: u64) {
        producer.send(item).await.expect("the consumer listens");
    }

    async fn get(consumer: &mut Self::Consumer) -> Option<u64> {
        consumer.recv().await
    }

    fn close(producer: Self::Producer) {
        drop(producer);
    }
}

/// `oneshot`.
#[derive(Debug)]
pub struct TokioOneshot;

/// The receiver of a sender that does send.
#[derive(Debug)]
pub struct Sent(oneshot::Receiver<u64>);

impl Future for Sent {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        Pin::new(&mut self.0).poll(context).map(|value| value.expect("it is sent"))
    }
}

impl Promise for TokioOneshot {
    const NAME: &'static str = name::TOKIO;
    type Setter = oneshot::Sender<u64>;
    type Value = Sent;

    fn promise() -> (Self::Setter, Sent) {
        let (sender, receiver) = oneshot::channel();
        (sender, Sent(receiver))
    }

    fn set(setter: Self::Setter, value: u64) {
        setter.send(value).expect("it is awaited");
    }
}
