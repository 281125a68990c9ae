#![doc = include_str!("README.md")]

mod error;
mod get;
mod handle;
mod heap;
mod items;
mod join;
mod lease;
mod put;
mod shared;
mod sorts;
mod state;
mod stream;
mod tally;

pub use error::{DoneTooOften, PutError, PutErrorKind, ShutDown, TryGetError};
pub use get::{Get, GetRaw};
pub use handle::Queue;
pub use join::Join;
pub use lease::{Duty, Lease};
pub use put::{Put, Reserve, Slot};
pub use sorts::{LifoQueue, PriorityQueue};
pub use stream::IntoStream;
