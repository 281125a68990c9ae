//! `filch-sync`, a file for each primitive.

mod barrier;
mod event;
mod lock;
mod promise;
mod queue;
mod rwlock;
mod semaphore;

pub use self::promise::FilchPromise;
pub use self::queue::RawQueue;
