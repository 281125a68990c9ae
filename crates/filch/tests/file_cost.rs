//! What an open file costs, in allocations.

use filch::Runtime;
use filch::fs::File;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// How often this thread has allocated. Of other threads, those of the test harness among them, nothing is said.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands everything on to the system's allocator; the counter is a number, and needs no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's word.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

async fn open_and_read(buffer: Vec<u8>) -> (File, Vec<u8>) {
    let file = File::open("/proc/self/comm").await.unwrap();
    let (read, buffer) = file.read_at(buffer, 0).await;
    assert_ne!(read.unwrap(), 0);
    (file, buffer)
}

/// Of the path, for the kernel, and of the descriptor, which the operations share. Nothing for each read.
#[test]
fn a_file_that_is_read_at_places_takes_two_allocations() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let allocations = runtime.block_on(async {
        // On the worker, whose ring it is: from elsewhere an operation is sent there.
        let task = filch::spawn(async {
            let mut buffer = Vec::with_capacity(64);
            // The first times, ring and queues make room for what is in them.
            for _ in 0..10 {
                buffer = open_and_read(buffer).await.1;
                buffer.clear();
            }
            let before = ALLOCATIONS.get();
            let (file, mut buffer) = open_and_read(buffer).await;
            let opened = ALLOCATIONS.get() - before;
            for _ in 0..10 {
                buffer.clear();
                buffer = file.read_at(buffer, 0).await.1;
            }
            drop(file);
            (opened, ALLOCATIONS.get() - before)
        });
        task.await.unwrap()
    });
    assert_eq!(allocations, (2, 2));
}
