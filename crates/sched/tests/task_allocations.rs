//! A spawn allocates once, a wake never, and a small task stays within its size.
#![cfg(not(any(filch_loom, filch_shuttle)))]
// Waking by value is what is tested.
#![allow(clippy::waker_clone_wake)]

use filch_sched::task::{ErrorHook, Meta, OwnedTasks, Schedule, Task, spawn_task};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

struct Counting;

thread_local! {
    /// Allocations of this thread, and the size of the last one.
    static ALLOCATED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

// SAFETY: hands everything on to the system's allocator; the counter is a plain thread-local.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set((ALLOCATED.get().0 + 1, layout.size()));
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

struct Queue {
    ready: Mutex<VecDeque<Task>>,
    tasks: OwnedTasks,
    hook: ErrorHook,
}

impl Schedule for Queue {
    fn schedule(&self, task: Task) {
        self.ready.lock().unwrap().push_back(task);
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.hook
    }
}

/// How much `work` allocates: how often, and the last size.
fn allocations(work: impl FnOnce()) -> (usize, usize) {
    let before = ALLOCATED.get().0;
    work();
    let (count, size) = ALLOCATED.get();
    (count - before, size)
}

#[test]
fn one_allocation_per_task() {
    let queue = Arc::new(Queue {
        ready: Mutex::new(VecDeque::with_capacity(8)),
        tasks: OwnedTasks::new(),
        hook: ErrorHook::default(),
    });
    let mut spawned = None;
    let place: Arc<Mutex<Option<Waker>>> = Arc::default();
    let future = {
        let place = place.clone();
        let mut waited = false;
        poll_fn(move |cx| {
            *place.lock().unwrap() = Some(cx.waker().clone());
            if std::mem::replace(&mut waited, true) { Poll::Ready(7_u64) } else { Poll::Pending }
        })
    };
    let scheduler = queue.clone();
    let (count, size) = allocations(|| spawned = Some(spawn_task(future, scheduler, Meta::here())));
    assert_eq!(count, 1);
    assert!(size <= 184, "with the allocator's own word, {size} is more than 192 bytes");

    let (task, mut handle) = spawned.unwrap();
    let mut polled = None;
    let (count, _) = allocations(|| {
        assert!(task.unwrap().run().is_none());
        let waker = place.lock().unwrap().take().unwrap();
        waker.wake_by_ref();
        waker.clone().wake();
        waker.wake();
        let task = queue.ready.lock().unwrap().pop_front().unwrap();
        assert!(task.run().is_none());
        let cx = &mut std::task::Context::from_waker(Waker::noop());
        polled = Some(std::pin::Pin::new(&mut handle).poll(cx));
        drop(handle);
    });
    assert_eq!(count, 0);
    assert!(matches!(polled, Some(Poll::Ready(Ok(7)))));
}
