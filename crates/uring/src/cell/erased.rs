//! A payload whose type only its table of functions knows.

use super::{Home, OpCell, Owner};
use crate::Operation;
use crate::quarantine::Lent;
use io_uring::squeue;
use std::mem::MaybeUninit;

/// How many words of payload fit into a cell; larger operations are boxed. Ten: the largest common
/// operation (a read with descriptor, buffer slice and offset) takes seven, and the cell two lines.
const INLINE_WORDS: usize = 10;

/// Room for an operation, or for the pointer to a boxed one.
#[expect(dead_code, reason = "only its address is used")]
pub(super) struct Payload(MaybeUninit<[u64; INLINE_WORDS]>);

impl Payload {
    pub(super) fn uninit() -> Self {
        Self(MaybeUninit::uninit())
    }
}

/// What can be done to a payload without knowing its type.
#[derive(Debug)]
pub struct Erased {
    /// The operation's name, for reports.
    pub name: &'static str,
    /// Describes the operation to the kernel. It takes the payload's address, which stays valid and
    /// the same until the cell is completed.
    pub(super) entry: unsafe fn(*mut Payload) -> squeue::Entry,
    /// The buffers that the kernel is told of. As `entry`, and before it.
    pub(super) lent: unsafe fn(*mut Payload) -> Vec<Lent>,
    /// Frees the cell, then lets the operation dispose of its result.
    pub(super) dispose: unsafe fn(&OpCell, &Home, Option<&Owner>, u32, i32),
}

impl Erased {
    pub(super) fn of<T: Operation>() -> &'static Self {
        const { &Self { name: T::NAME, entry: entry::<T>, lent: lent::<T>, dispose: dispose::<T> } }
    }
}

const fn fits<T>() -> bool {
    size_of::<T>() <= size_of::<Payload>() && align_of::<T>() <= align_of::<Payload>()
}

/// # Safety
///
/// `payload` is valid for writing and holds nothing that needs dropping.
pub(super) unsafe fn write<T>(payload: *mut Payload, value: T) {
    if fits::<T>() {
        // SAFETY: it fits and is aligned; the rest is the caller's promise.
        unsafe { payload.cast::<T>().write(value) };
    } else {
        // SAFETY: a pointer fits.
        unsafe { payload.cast::<*mut T>().write(Box::into_raw(Box::new(value))) };
    }
}

/// Where the value is. Stable: in the cell, or in its box.
///
/// # Safety
///
/// `payload` holds a `T`.
unsafe fn place<T>(payload: *mut Payload) -> *mut T {
    if fits::<T>() {
        payload.cast::<T>()
    } else {
        // SAFETY: `write` put a pointer there.
        unsafe { payload.cast::<*mut T>().read() }
    }
}

/// Moves the value out.
///
/// # Safety
///
/// `payload` holds a `T` that nobody else uses (the kernel included), and is not read again.
pub(super) unsafe fn read<T>(payload: *const Payload) -> T {
    if fits::<T>() {
        // SAFETY: the caller's promise.
        unsafe { payload.cast::<T>().read() }
    } else {
        // SAFETY: `write` put a pointer there that came from a box.
        *unsafe { Box::from_raw(payload.cast::<*mut T>().read()) }
    }
}

/// # Safety
///
/// `payload` holds a `T` that is not submitted yet.
pub(super) unsafe fn entry<T: Operation>(payload: *mut Payload) -> squeue::Entry {
    // SAFETY: nobody else refers to the value before it is submitted.
    unsafe { (*place::<T>(payload)).entry() }
}

/// # Safety
///
/// As for [`entry`].
unsafe fn lent<T: Operation>(payload: *mut Payload) -> Vec<Lent> {
    let mut all = Vec::new();
    // SAFETY: as there.
    unsafe { (*place::<T>(payload)).lent(&mut |lent| all.push(lent)) };
    all
}

/// # Safety
///
/// As for [`OpCell::empty`]; the caller holds a reference to the home.
unsafe fn dispose<T: Operation>(
    cell: &OpCell,
    home: &Home,
    owner: Option<&Owner>,
    index: u32,
    result: i32,
) {
    let watched = home.ward.as_ref().map(|ward| (ward, cell.key(index)));
    // SAFETY: the caller's promise.
    let (mut operation, list) = unsafe { cell.empty::<T>() };
    match owner {
        Some(owner) => owner.give_back(index, list),
        // Not the last reference: the caller has one.
        None => drop(home.give_back(index)),
    }
    // After the cell is free: a destructor of the user's may do anything, panic included (D8).
    let Some((ward, key)) = watched else {
        return operation.dispose(crate::sys::result(result));
    };
    ward.look(key, &mut operation, result);
    ward.dispose(operation, result);
}
