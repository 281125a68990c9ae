//! The waker of a task: a reference to it, and no allocation.

use super::header::{Header, free, release};
use super::state::Woken;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// One table for all tasks, so that two wakers of one task compare as such.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// A waker of the task at `header`, made from a reference that the caller has.
///
/// # Safety
///
/// The caller has a reference and gives it to the waker; or the waker is neither dropped nor woken
/// by value, and does not outlive a reference that somebody else has.
pub(super) unsafe fn from_header(header: NonNull<Header>) -> Waker {
    // SAFETY: the functions keep the contract of `RawWakerVTable`: they may be called from any
    // thread (all they touch is atomic or immutable), and each waker stands for one reference.
    unsafe { Waker::from_raw(RawWaker::new(header.as_ptr().cast_const().cast(), &VTABLE)) }
}

/// # Safety
///
/// `data` is of a waker of ours that is alive. So is the task then, by the waker's reference.
unsafe fn header_of(data: *const ()) -> NonNull<Header> {
    // SAFETY: `from_header` made it from a pointer that is not null.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called on a live waker of ours.
    let header = unsafe { header_of(data) };
    // SAFETY: alive by that waker's reference.
    unsafe { header.as_ref() }.state.retain();
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: called on a live waker of ours, which is given up.
    let header = unsafe { header_of(data) };
    // SAFETY: alive by that waker's reference.
    let task = unsafe { header.as_ref() };
    match task.state.wake() {
        Woken::Schedule => {
            // SAFETY: the step gave us the `Task` and left us the reference, which keeps the
            // scheduler alive throughout.
            unsafe { (task.vtable.schedule)(header) };
            // SAFETY: the waker's reference, used no more.
            unsafe { release(header) };
        }
        Woken::Done => {}
        // SAFETY: ours was the last reference.
        Woken::Free => unsafe { free(header) },
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called on a live waker of ours.
    let header = unsafe { header_of(data) };
    // SAFETY: alive by that waker's reference.
    let task = unsafe { header.as_ref() };
    if task.state.wake_by_ref() {
        // SAFETY: the step gave us the `Task`; the waker's reference outlasts the call. (The
        // borrowed waker of a poll in progress never gets here: its task is running, so not idle.)
        unsafe { (task.vtable.schedule)(header) };
    }
}

unsafe fn drop(data: *const ()) {
    // SAFETY: called on a live waker of ours, which is given up with its reference.
    unsafe { release(header_of(data)) };
}
