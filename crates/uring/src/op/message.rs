//! What `recvmsg(2)` and `sendmsg(2)` have in common: the header, and descriptors beside the bytes.

use crate::addr::SockAddr;
use crate::fd::opened;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::{fmt, mem, ptr};

/// `SCM_PIDFD`: a descriptor of the sender's process, which comes if the socket has SO_PASSPIDFD.
const SCM_PIDFD: i32 = 4;

/// The most that the kernel is asked to put beside a message.
const MOST_CONTROL: usize = 1 << 16;

/// A message's header and all that it points to, except for the bytes. On the heap, because the kernel is
/// told its address (D1).
pub(super) struct Header {
    msg: libc::msghdr,
    iov: libc::iovec,
    /// In place of that one, where there are several buffers.
    several: Vec<libc::iovec>,
    pub(super) address: SockAddr,
    /// Of words, for they are as aligned as a `cmsghdr` has to be.
    control: Vec<u64>,
}

// SAFETY: the pointers are the header's own. They lead into it, to the heap that it owns, and to the buffer
// of the operation that it belongs to, which moves with it; they are followed by the kernel alone.
unsafe impl Send for Header {}

impl Header {
    /// One with nothing beside the bytes.
    pub(super) fn new(address: SockAddr) -> Box<Self> {
        // SAFETY: all zeroes is a value of it: no name, no bytes, nothing beside.
        let msg = unsafe { mem::zeroed::<libc::msghdr>() };
        let iov = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Box::new(Self { msg, iov, several: Vec::new(), address, control: Vec::new() })
    }

    /// Makes room for so many descriptors, within reason.
    pub(super) fn reserve(&mut self, descriptors: usize) {
        let bytes = space(descriptors.min(MOST_CONTROL / mem::size_of::<RawFd>()));
        self.control = vec![0; bytes.div_ceil(mem::size_of::<u64>())];
    }

    /// Puts descriptors beside the bytes. Whoever owns them keeps them open until the message is sent.
    pub(super) fn put(&mut self, descriptors: &[OwnedFd]) {
        if descriptors.is_empty() {
            self.control = Vec::new();
            return;
        }
        let bytes = mem::size_of_val(descriptors);
        self.control = vec![0; space(descriptors.len()).div_ceil(mem::size_of::<u64>())];
        let first = self.control.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: there is room for the header and, behind it, for so many numbers; the words are aligned
        // for both.
        unsafe {
            (*first).cmsg_len = libc::CMSG_LEN(bytes as u32) as _;
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            let data = libc::CMSG_DATA(first).cast::<RawFd>();
            for (place, fd) in descriptors.iter().enumerate() {
                data.add(place).write_unaligned(fd.as_raw_fd());
            }
        }
    }

    /// Has it point to where everything is, for a message into or out of `len` bytes at `bytes`. The
    /// address is one to send to if it has a length, or room for `room` bytes of one.
    pub(super) fn point(
        &mut self,
        bytes: *mut u8,
        len: usize,
        room: libc::socklen_t,
    ) -> *mut libc::msghdr {
        self.iov = libc::iovec { iov_base: bytes.cast(), iov_len: len };
        let (name, len) = match room.max(self.address.len()) {
            0 => (ptr::null_mut(), 0),
            len => (self.address.as_ptr().cast_mut().cast(), len),
        };
        (self.msg.msg_name, self.msg.msg_namelen) = (name, len);
        self.msg.msg_iov = &raw mut self.iov;
        self.msg.msg_iovlen = 1;
        self.msg.msg_control = match self.control.is_empty() {
            true => ptr::null_mut(),
            false => self.control.as_mut_ptr().cast(),
        };
        self.msg.msg_controllen = mem::size_of_val(&*self.control) as _;
        &raw mut self.msg
    }

    /// As [`point`](Self::point), into or out of several buffers, and without an address.
    pub(super) fn point_to_all(&mut self, bufs: Vec<libc::iovec>) -> *mut libc::msghdr {
        self.point(ptr::null_mut(), 0, 0);
        self.several = bufs;
        self.msg.msg_iov = self.several.as_mut_ptr();
        self.msg.msg_iovlen = self.several.len() as _;
        &raw mut self.msg
    }

    /// What the kernel said of a message that has come: how long its address is, and its flags.
    pub(super) fn came(&mut self) -> i32 {
        self.address.set_len(self.msg.msg_namelen);
        self.msg.msg_flags
    }

    /// The descriptors that came beside the bytes.
    ///
    /// # Safety
    ///
    /// The kernel has just filled in this header, and nobody took the descriptors yet.
    pub(super) unsafe fn take(&mut self) -> Vec<OwnedFd> {
        let mut found = Vec::new();
        let msg = &raw const self.msg;
        // SAFETY: the kernel has left well-formed entries within the control bytes, which are still where
        // they were.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(msg) };
        while !next.is_null() {
            // SAFETY: as above.
            let entry = unsafe { next.read_unaligned() };
            // SAFETY: a number is computed.
            let bytes =
                (entry.cmsg_len as usize).saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            let is_rights = entry.cmsg_type == libc::SCM_RIGHTS;
            if entry.cmsg_level == libc::SOL_SOCKET && (is_rights || entry.cmsg_type == SCM_PIDFD) {
                for place in 0..bytes / mem::size_of::<RawFd>() {
                    // SAFETY: so many numbers are there; the kernel has opened the descriptors for this
                    // process (the caller's promise).
                    let fd = unsafe {
                        let fd = libc::CMSG_DATA(next).cast::<RawFd>().add(place).read_unaligned();
                        // Where it could not make one the kernel says so in place of a descriptor.
                        if fd < 0 {
                            continue;
                        }
                        opened(fd)
                    };
                    if is_rights {
                        found.push(fd);
                    }
                    // Any other was not asked for, and is closed (D2).
                }
            }
            // SAFETY: as above.
            next = unsafe { libc::CMSG_NXTHDR(msg, next) };
        }
        found
    }
}

/// How many bytes so many descriptors take beside a message.
fn space(descriptors: usize) -> usize {
    // SAFETY: a number is computed.
    unsafe { libc::CMSG_SPACE((descriptors * mem::size_of::<RawFd>()) as u32) as usize }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("address", &self.address).finish_non_exhaustive()
    }
}
