//! The io_uring completion driver of filch: rings, operations, buffers and descriptors.
//!
//! An *operation* ([`Operation`], the ones in [`op`]) is described once: what to tell the kernel, which
//! plain system call does the same, what becomes of an unwanted result. It owns whatever the kernel sees:
//! buffers, paths, addresses, and a share of the descriptor. [`Op`] is its future.
//!
//! A [`Driver`] is one ring and belongs to one thread. Operations first polled there are staged; the next
//! [`turn`](Driver::turn) or [`park`](Driver::park) hands them all to the kernel, in one system call, and
//! delivers what is done. **Operations stay, futures move**: an operation ends in the ring it was staged
//! in, but its future may be polled, cancelled or dropped on any thread, without a lock and without asking
//! the ring's thread, because its state is in a cell that does not move. A dropped operation lives on
//! until the kernel is done with it.
//!
//! The crate knows no tasks, only wakers. Its invariants (D1 to D8) are those of `docs/architecture.md`.
//!
//! # Example
//!
//! The driver alone, without an executor:
//!
//! ```
//! use filch_uring::{Config, Driver, Op, Position, SharedFd, op};
//! use std::future::Future;
//! use std::path::Path;
//! use std::pin::pin;
//! use std::task::{Context, Poll, Waker};
//!
//! /// Polls, and sleeps in the ring in between.
//! fn block_on<F: Future>(driver: &mut Driver, future: F) -> std::io::Result<F::Output> {
//!     let mut future = pin!(future);
//!     loop {
//!         // Nobody has to be woken: the loop polls after every park.
//!         if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
//!             return Ok(output);
//!         }
//!         driver.park(None)?;
//!     }
//! }
//!
//! let mut driver = Driver::new(&Config::default())?;
//! let text = block_on(&mut driver, async {
//!     let open = op::Open::new(Path::new("/proc/self/comm"), libc::O_RDONLY, 0)?;
//!     let file = SharedFd::from(Op::new(open).await.0?);
//!     let (read, buffer) = Op::new(op::Read::new(file, vec![0; 64], Position::At(0))).await;
//!     Ok::<_, std::io::Error>(buffer[..read?].to_vec())
//! })??;
//! assert!(text.ends_with(b"\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!("filch runs on Linux only: it is built on io_uring");

mod addr;
pub mod buf;
// For the models public, and else not: it takes care to use it soundly.
#[cfg(filch_loom)]
pub mod cell;
#[cfg(not(filch_loom))]
#[expect(unreachable_pub, reason = "the models reach it")]
mod cell;
mod config;
mod counters;
mod driver;
mod error;
mod fd;
mod local;
pub mod now;
pub mod op;
pub mod quarantine;
#[cfg(filch_loom)]
pub mod rescue;
#[cfg(not(filch_loom))]
#[expect(unreachable_pub, reason = "the models reach it")]
mod rescue;
#[cfg_attr(not(filch_loom), expect(unreachable_pub, reason = "the models reach what it names"))]
mod ring;
mod sys;
#[cfg(filch_loom)]
pub mod wake;
#[cfg(not(filch_loom))]
#[expect(unreachable_pub, reason = "the models reach it")]
mod wake;

pub use addr::SockAddr;
pub use buf::{AlignedBuf, IoBuf, IoBufMut, IoBufs, IoBufsMut, Slice};
pub use config::{Config, Features, Rescue};
pub use counters::Counts;
pub use driver::{Driver, Remote};
pub use error::{Cause, Leaked, NoDriver, SetupError};
pub use fd::SharedFd;
pub use op::{Op, Operation, Position, WaitWithout};
pub use quarantine::Quarantine;
#[cfg(not(filch_loom))]
pub use rescue::{is_rescue_signal, mask_of_handlers};
