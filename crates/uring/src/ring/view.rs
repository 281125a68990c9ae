//! A ring's shared memory, as those see it who reap: the owner, and whoever rescues it.
//!
//! A mapping of its own, apart from the one that the `io_uring` crate stages entries through: it goes when
//! its last user goes, so a rescuer that still looks at it is never in the way of the ring's end, and there
//! is no pointer that could outlive what it points to.

use super::Completion;
use io_uring::IoUring;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fmt, io};

/// The kernel's `IORING_SQ_CQ_OVERFLOW`.
const CQ_OVERFLOW: u32 = 1 << 1;
/// The kernel's `IORING_SQ_TASKRUN`.
const TASKRUN: u32 = 1 << 2;
/// The kernel's `IORING_CQE_F_MORE`.
const MORE: u32 = 1 << 1;

/// The kernel's `io_uring_params`: where things are in the mapping.
#[repr(C)]
struct Parameters {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread: [u32; 2],
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: SubmissionOffsets,
    cq: CompletionOffsets,
}

/// The kernel's `io_sqring_offsets`.
#[repr(C)]
struct SubmissionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    reserved: [u32; 3],
}

/// The kernel's `io_cqring_offsets`.
#[repr(C)]
struct CompletionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    reserved: [u32; 3],
}

/// The kernel's `io_uring_cqe`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    user_data: u64,
    result: i32,
    flags: u32,
}

const _: () = assert!(size_of::<Parameters>() == size_of::<io_uring::Parameters>());

/// Heads, tails, flags and completions. Only the *holder* of the completion queue (who has its lock) may
/// move its head.
pub(crate) struct View {
    memory: NonNull<libc::c_void>,
    len: usize,
    offsets: Parameters,
}

// SAFETY: a mapping belongs to no thread; what is in it is read and written by atomics, or, the entries,
// by the holder after it acquired the tail that published them.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// Maps the memory of `ring`.
    pub(super) fn new(ring: &IoUring) -> io::Result<Self> {
        // SAFETY: `Parameters` is a transparent wrapper over the kernel's structure, which ours is too.
        let offsets = unsafe { ptr::from_ref(ring.params()).cast::<Parameters>().read() };
        // Both queues are in one mapping (FEAT_SINGLE_MMAP, which is older than what we require), and
        // the entries come last.
        let len = offsets.cq.cqes as usize + offsets.cq_entries as usize * size_of::<Entry>();
        // SAFETY: a new mapping, somewhere.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                ring.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory).expect("the kernel maps nothing at 0 by itself");
        let view = Self { memory, len, offsets };
        // SAFETY: our own mapping. As for the ring's others: it is not for a child.
        crate::sys::check(unsafe { libc::madvise(memory.as_ptr(), len, libc::MADV_DONTFORK) })?;
        Ok(view)
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel's offset of an aligned `u32` inside the mapping, which lives as long as we.
        unsafe { self.memory.byte_add(offset as usize).cast::<AtomicU32>().as_ref() }
    }

    /// The flags of the submission queue: for the signal handler, which reads them through a pointer.
    pub(crate) fn flags(&self) -> &AtomicU32 {
        self.word(self.offsets.sq.flags)
    }

    /// How many completions are there now. Exact for the holder; anybody else may see a number that was.
    pub(crate) fn completions(&self) -> u32 {
        // Relaxed: for the holder, a head that it moved itself or that its lock brought.
        let head = self.word(self.offsets.cq.head).load(Ordering::Relaxed);
        // Acquire: pairs with the kernel's release of the tail, after it wrote the entries.
        self.word(self.offsets.cq.tail).load(Ordering::Acquire).wrapping_sub(head)
    }

    /// Whether the kernel has work that appears only when it is entered: deferred completions, or ones
    /// that did not fit.
    pub(crate) fn must_enter(&self) -> bool {
        // Acquire: what made the kernel set them is seen too.
        self.flags().load(Ordering::Acquire) & (TASKRUN | CQ_OVERFLOW) != 0
    }

    /// Whether completions are waiting in the kernel for room.
    pub(crate) fn overflown(&self) -> bool {
        // Acquire: as above.
        self.flags().load(Ordering::Acquire) & CQ_OVERFLOW != 0
    }

    /// How many entries are published and not taken by the kernel. For others than the owner a number
    /// that was.
    pub(crate) fn published(&self) -> u32 {
        // Acquire: pairs with the kernel's release of the head, and with the owner's of the tail. Head
        // first: a tail read later is never behind it.
        let head = self.word(self.offsets.sq.head).load(Ordering::Acquire);
        self.word(self.offsets.sq.tail).load(Ordering::Acquire).wrapping_sub(head)
    }

    /// Takes out the completions that are there now, oldest first.
    ///
    /// # Safety
    ///
    /// The caller is the holder.
    pub(crate) unsafe fn drain(&self, mut each: impl FnMut(Completion)) {
        let cq = &self.offsets.cq;
        // Relaxed: as in `completions`.
        let mut head = self.word(cq.head).load(Ordering::Relaxed);
        // Acquire: pairs with the kernel's release, after it wrote the entries.
        let tail = self.word(cq.tail).load(Ordering::Acquire);
        // SAFETY: inside the mapping, by the kernel's offset.
        let entries = unsafe { self.memory.byte_add(cq.cqes as usize).cast::<Entry>() };
        while head != tail {
            let index = head & (self.offsets.cq_entries - 1);
            // SAFETY: below the number of entries; the kernel writes it again only after our head has
            // moved beyond it.
            let entry = unsafe { entries.add(index as usize).read() };
            each(Completion {
                user_data: entry.user_data,
                result: entry.result,
                more: entry.flags & MORE != 0,
            });
            head = head.wrapping_add(1);
        }
        // Release: our reads of the entries come before the kernel writes them again.
        self.word(cq.head).store(head, Ordering::Release);
    }
}

/// The flag alone, for the handler.
pub(crate) fn has_deferred_work(flags: u32) -> bool {
    flags & TASKRUN != 0
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and the last user goes.
        unsafe { libc::munmap(self.memory.as_ptr(), self.len) };
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("completions", &self.completions()).finish_non_exhaustive()
    }
}
