//! `filch-sync`, a file for each primitive.

mod barrier;
mod event;
mod lock;
mod rwlock;
mod semaphore;
