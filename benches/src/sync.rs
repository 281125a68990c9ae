//! What the rows of the primitives ask of a library: one trait for each kind, implemented on the libraries' own types.
//!
//! The functions are thin, as those of [`crate::runtime`] are. A library's implementations are in a file of its own, filch's
//! in a file for each primitive. To add one: a file here, and the type in the list of its row.

mod async_channel;
mod async_lock;
mod event_listener;
mod filch;
mod flume;
mod futures;
mod tokio;

use std::ops::DerefMut;

pub use self::event_listener::Listened;
pub use self::filch::{FilchPromise, RawQueue};
pub use self::flume::Flume;
pub use self::futures::FuturesOneshot;
pub use self::tokio::{Mpsc, Notified, TokioOneshot, Watched};

/// Names of the libraries, which are the contenders of these rows.
pub mod name {
    /// `filch-sync`.
    pub const FILCH: &str = "filch-sync";
    /// `filch-sync` without the leases of its queue.
    pub const FILCH_RAW: &str = "filch-sync-raw";
    /// `tokio::sync`.
    pub const TOKIO: &str = "tokio";
    /// `async-lock`.
    pub const ASYNC_LOCK: &str = "async-lock";
    /// `async-channel`.
    pub const ASYNC_CHANNEL: &str = "async-channel";
    /// `flume`.
    pub const FLUME: &str = "flume";
    /// `futures-channel`.
    pub const FUTURES: &str = "futures";
    /// `event-listener`.
    pub const EVENT_LISTENER: &str = "event-listener";
    /// `tokio::sync::watch`, where `tokio` stands for `Notify`.
    pub const TOKIO_WATCH: &str = "tokio-watch";
}

/// A lock around a number.
pub trait Mutex: Send + Sync + 'static {
    /// The library.
    const NAME: &'static str;

    /// A free one.
    fn new(value: u64) -> Self;

    /// Takes it; dropping what comes out frees it.
    fn lock(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send;
}

/// A lock around a number for many readers or one writer.
pub trait RwLock: Send + Sync + 'static {
    /// The library.
    const NAME: &'static str;

    /// A free one.
    fn new(value: u64) -> Self;

    /// Takes it among other readers.
    fn read(&self) -> impl Future<Output = impl std::ops::Deref<Target = u64> + Send> + Send;

    /// Takes it alone.
    fn write(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send;
}

/// A number of permits.
pub trait Semaphore: Send + Sync + 'static {
    /// The library.
    const NAME: &'static str;

    /// So many permits.
    fn new(permits: usize) -> Self;

    /// Takes one; dropping what comes out gives it back.
    fn acquire(&self) -> impl Future<Output = impl Send> + Send;
}

/// Tells many tasks at once.
pub trait Event: Send + Sync + 'static {
    /// The library.
    const NAME: &'static str;
    /// What one task waits with.
    type Waiter: Send + 'static;

    /// One for which nobody waits.
    fn new() -> Self;

    /// What a task waits with.
    fn waiter(&self) -> Self::Waiter;

    /// Waits; registered when this was polled once.
    fn wait(waiter: &mut Self::Waiter) -> impl Future<Output = ()> + Send;

    /// The future with which a task of its own waits, in the library's own form; registered as above.
    fn wait_owned(waiter: Self::Waiter) -> impl Future<Output: Send> + Send + 'static;

    /// Releases everybody who is registered, and nobody who comes later.
    fn pulse(&self);
}

/// Lets nobody go before all have come.
pub trait Barrier: Send + Sync + 'static {
    /// The library.
    const NAME: &'static str;

    /// One for so many.
    fn new(count: usize) -> Self;

    /// Comes, and waits for the others.
    fn wait(&self) -> impl Future<Output = ()> + Send;
}

/// A bounded queue of numbers.
pub trait Queue: 'static {
    /// The library.
    const NAME: &'static str;
    /// What a producer has.
    type Producer: Clone + Send + 'static;
    /// What a consumer has.
    type Consumer: Send + 'static;

    /// An empty one, with a handle for each of so many consumers.
    fn bounded(capacity: usize, consumers: usize) -> (Self::Producer, Vec<Self::Consumer>);

    /// Waits for room.
    fn put(producer: &mut Self::Producer, item: u64) -> impl Future<Output = ()> + Send;

    /// Waits for an item; nothing comes when the queue is closed and empty.
    fn get(consumer: &mut Self::Consumer) -> impl Future<Output = Option<u64>> + Send;

    /// Lets the consumers end, by the last producer's handle.
    fn close(producer: Self::Producer);
}

/// A number that is set once, by one task, and awaited by another.
pub trait Promise: 'static {
    /// The library.
    const NAME: &'static str;
    /// What sets it.
    type Setter: Send + 'static;
    /// What comes of it.
    type Value: Future<Output = u64> + Send + 'static;

    /// One that is not set.
    fn promise() -> (Self::Setter, Self::Value);

    /// Sets it.
    fn set(setter: Self::Setter, value: u64);
}

/// Evaluates an expression with `$library` standing for the one of the types whose `NAME` is `$name`; an error when there
/// is none.
macro_rules! with_library {
    ($kind:ident, $name:expr, $library:ident => $body:expr, [$($candidate:ty),+ $(,)?]) => {{
        let name: &str = $name;
        'found: {
            $(if name == <$candidate as $crate::sync::$kind>::NAME {
                type $library = $candidate;
                break 'found Ok($body);
            })+
            Err(std::io::Error::other(format!("no library `{name}` for this row")))
        }
    }};
}

pub(crate) use with_library;
