//! The io_uring completion driver of filch: rings, operations, buffers and descriptors
#[cfg(not(target_os = "linux"))]
compile_error!("filch runs on Linux only: it is built on io_uring");

mod addr;
pub mod buf;
// Public for the models alone.
#[doc(hidden)]
pub mod cell;
mod config;
mod counters;
mod driver;
mod error;
mod fd;
mod local;
pub mod op;
mod ring;
mod sys;
// Public for the models alone.
#[doc(hidden)]
pub mod wake;

pub use addr::SockAddr;
pub use buf::{IoBuf, IoBufMut, Slice};
pub use config::{Config, Features};
pub use counters::Counts;
pub use driver::{Driver, Remote};
pub use error::{Cause, Leaked, NoDriver, SetupError};
pub use fd::SharedFd;
pub use op::{Op, Operation, Position, WaitWithout};
