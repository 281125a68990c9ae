//! Queues: the rules QUEUE-1 to QUEUE-15 and I1 to I6 of `docs/semantics.md`.
#![cfg(not(any(filch_loom, filch_shuttle)))]

mod cancel;
mod invariants;
mod kit;
mod model;
mod rules;
mod shutdown;
mod threads;
