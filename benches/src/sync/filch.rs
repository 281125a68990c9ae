//! `filch-sync`, a file for each primitive.

mod lock;
mod rwlock;
mod semaphore;
