//! The buffers that a runtime receives into.

use filch_atomic::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many that nobody uses are kept, at most; further ones are freed.
const FREE: usize = 256;

/// The buffers that a runtime receives into, for its leases.
///
/// It counts what is lent and keeps what has come back: nothing waits for it. A stream that receives has a
/// buffer, which counts only once it is in the hands of somebody else.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
    lent: AtomicUsize,
    most: usize,
}

impl Pool {
    /// How large a buffer is.
    pub(crate) const ROOM: usize = 16 * 1024;

    /// The most that are lent at a time, unless told otherwise: 16 MiB of them.
    pub(crate) const LEASES: usize = 1024;

    pub(crate) fn new(most: usize) -> Self {
        Self { free: Mutex::default(), lent: AtomicUsize::new(0), most }
    }

    /// An empty buffer to receive into.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        let free = self.free.lock().pop();
        free.unwrap_or_else(|| Vec::with_capacity(Self::ROOM))
    }

    /// Counts one more that is lent, unless as many are as may be.
    pub(super) fn lend(&self) -> bool {
        // Relaxed, all three: it is a number, and guards no memory.
        let lent = self.lent.fetch_add(1, Ordering::Relaxed);
        if lent >= self.most {
            self.lent.fetch_sub(1, Ordering::Relaxed);
        }
        lent < self.most
    }

    /// One that was lent comes back.
    pub(super) fn take_back(&self, mut buffer: Vec<u8>) {
        // Relaxed: as above.
        self.lent.fetch_sub(1, Ordering::Relaxed);
        // One that was handed over to a stream, say, and left there, is of another size.
        if buffer.capacity() != Self::ROOM {
            return;
        }
        buffer.clear();
        let mut free = self.free.lock();
        if free.len() < FREE {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;

    #[test]
    fn no_more_are_lent_than_may_be() {
        let pool = Pool::new(2);
        assert_eq!([(); 3].map(|()| pool.lend()), [true, true, false]);
        pool.take_back(pool.buffer());
        assert_eq!([(); 2].map(|()| pool.lend()), [true, false]);
    }

    #[test]
    fn what_comes_back_is_used_again_if_it_is_the_size() {
        let pool = Pool::new(9);
        let mut buffer = pool.buffer();
        assert!(buffer.capacity() == Pool::ROOM && pool.lend() && pool.lend());
        buffer.push(1);
        let place = buffer.as_ptr();
        pool.take_back(buffer);
        pool.take_back(vec![0; 7]);
        let again = pool.buffer();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        assert_eq!(pool.buffer().capacity(), Pool::ROOM, "of another size: not kept");
    }
}
