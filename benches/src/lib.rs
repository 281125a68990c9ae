//! Benchmarks of filch, and its comparison with tokio, with smol and with bare io_uring loops.
//!
//! The comparison is the `compare` binary. One *row* is one kind of work (`rows/`, a file each); one *contender* is what
//! does it: a runtime (`runtimes/`, an implementation of [`runtime::Runtime`] each) or the bare ring loop, which shows what
//! the kernel allows. A row's body is written once, generic over the runtime, so that every contender does the same.
//!
//! Each *trial* (one row, one contender, once) is a process of its own: [`plan`] says which trials there are, [`child`]
//! starts them, [`quiet`] waits for a quiet machine before each and notices what disturbed it, [`report`] turns what they
//! measured into medians and ratios. [`instructions`] runs the same bodies under callgrind.
//!
//! How to run it and how to read it: `benches/README.md`.

#[cfg(not(target_os = "linux"))]
compile_error!("filch runs on Linux only");

pub mod child;
pub mod cli;
pub mod dial;
pub mod files;
pub mod flood;
pub mod instructions;
pub mod load;
pub mod measure;
pub mod paced;
pub mod plan;
pub mod quiet;
pub mod random;
pub mod report;
pub mod ring;
pub mod ring_rows;
pub mod ring_ways;
pub mod rows;
pub mod runtime;
pub mod runtimes;
pub mod stats;
pub mod sync;
pub mod sys;
