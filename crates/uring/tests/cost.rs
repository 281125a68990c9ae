//! What an operation costs in allocations: nothing, once the driver has its memory.

mod support;

use filch_uring::{Op, op};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::{driver, pair, poll};

struct Counting;

thread_local! {
    /// Of this thread: the test harness has others.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn small_operations_allocate_nothing() {
    let mut driver = driver();
    let (fd, mut peer) = pair();
    let mut buffer = Vec::with_capacity(64);
    let mut round = || {
        std::io::Write::write_all(&mut peer, b"ping").expect("it has room");
        let mut recv = Op::new(op::Recv::new(fd.clone(), std::mem::take(&mut buffer)));
        assert!(poll(&mut recv).is_pending());
        let mut nop = Op::new(op::Nop::new());
        assert!(poll(&mut nop).is_pending());
        while !recv.is_done() || !nop.is_done() {
            driver.park(None).expect("the ring works");
        }
        assert!(poll(&mut nop).is_ready());
        let std::task::Poll::Ready((result, returned)) = poll(&mut recv) else {
            panic!("it is done")
        };
        assert_eq!(result.expect("it arrived"), 4);
        buffer = returned;
    };
    (0..10).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..1_000).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
