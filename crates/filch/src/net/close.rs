//! Closing a socket, and hearing how that went.

use crate::home::Home;
use filch_uring::{SharedFd, op};
use std::io;
use std::panic::Location;

/// Closes a descriptor of which nothing is in flight any more, and says what had gone wrong before, or goes wrong
/// now. If something holds it all the same (an operation whose future was dropped), it is closed when that is over.
pub(super) async fn close(
    fd: SharedFd,
    home: Home,
    before: io::Result<()>,
    at: &'static Location<'static>,
) -> io::Result<()> {
    let closed = match fd.try_unwrap() {
        Ok(fd) => home.run(op::Close::new(fd), at).await,
        Err(_in_use) => Ok(()),
    };
    before.and(closed)
}

/// Implements `close` for a type of one field, by that one's.
macro_rules! closes {
    ($type:ident, $(#[$about:meta])*) => {
        impl $type {
            $(#[$about])*
            ///
            /// # Cancel safety
            ///
            /// Dropped, it is closed all the same, as if it had been dropped itself.
            #[doc(alias = "wait_closed")]
            #[doc(alias = "aclose")]
            #[track_caller]
            pub fn close(self) -> impl Future<Output = std::io::Result<()>> + Send {
                self.0.close(std::panic::Location::caller())
            }
        }

        #[cfg(not(filch_loom))]
        impl $crate::Close for $type {
            type Error = std::io::Error;

            #[track_caller]
            fn close(self) -> impl Future<Output = std::io::Result<()>> + Send {
                self.0.close(std::panic::Location::caller())
            }
        }
    };
}
pub(super) use closes;
