//! Datagrams, received and sent by plain calls that do not wait: one, or many at once.

use crate::addr::SockAddr;
use crate::sys;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{io, mem, ptr};

/// As many as the kernel moves in one call.
const MOST: usize = libc::UIO_MAXIOV as usize;

/// A datagram that was received, and is in the buffer that was given for it.
#[derive(Debug, Clone)]
pub struct Datagram {
    /// How many bytes of it there are.
    pub len: usize,
    /// Who sent it.
    pub from: SockAddr,
    /// Whether it was longer than the buffer. The rest is gone.
    pub is_truncated: bool,
}

/// Receives a datagram, if one is there.
///
/// # Errors
///
/// The system's, `WouldBlock` if there is none.
pub fn recv_from(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Datagram> {
    let mut from = SockAddr::empty();
    let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut header = header(&mut part);
    header.msg_name = from.as_mut_ptr().cast();
    let received = sys::retry(|| {
        header.msg_namelen = SockAddr::ROOM;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the header, and what it points to, is there for the call.
        sys::check_size(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) })
    })?;
    from.set_len(header.msg_namelen);
    let is_truncated = header.msg_flags & libc::MSG_TRUNC != 0;
    Ok(Datagram { len: received as usize, from, is_truncated })
}

/// Sends a datagram, to an address or to the socket's peer, if there is room.
///
/// # Errors
///
/// The system's, `WouldBlock` if there is no room.
pub fn send_to(fd: BorrowedFd<'_>, buf: &[u8], to: Option<&SockAddr>) -> io::Result<usize> {
    let (name, len) = to.map_or((ptr::null(), 0), |to| (to.as_ptr(), to.len()));
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let sent = sys::retry(|| {
        // SAFETY: the bytes and the address are there for the call.
        sys::check_size(unsafe {
            libc::sendto(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags, name, len)
        })
    })?;
    Ok(sent as usize)
}

/// Receives the datagrams that are there, one into each buffer, into at most 1024 of them, by one call. Gives
/// what was received, in the order of the buffers.
///
/// # Errors
///
/// The system's, if it comes with the first: `WouldBlock` if there is none.
pub fn recv_many<'a>(
    fd: BorrowedFd<'_>,
    bufs: impl Iterator<Item = &'a mut [u8]>,
) -> io::Result<Vec<Datagram>> {
    let mut parts: Vec<_> = bufs
        .take(MOST)
        .map(|buf| libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() })
        .collect();
    let mut names = vec![SockAddr::empty(); parts.len()];
    let mut headers: Vec<_> = parts
        .iter_mut()
        .zip(&mut names)
        .map(|(part, name)| {
            let mut msg_hdr = header(part);
            msg_hdr.msg_name = name.as_mut_ptr().cast();
            msg_hdr.msg_namelen = SockAddr::ROOM;
            libc::mmsghdr { msg_hdr, msg_len: 0 }
        })
        .collect();
    let received = sys::retry(|| {
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: as many headers, and what they point to, are there for the call.
        sys::check(unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as _,
                flags as _,
                ptr::null_mut(),
            )
        })
    })?;
    let of = |(header, mut from): (&libc::mmsghdr, SockAddr)| {
        from.set_len(header.msg_hdr.msg_namelen);
        let is_truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        Datagram { len: header.msg_len as usize, from, is_truncated }
    };
    Ok(headers.iter().zip(names).take(received as usize).map(of).collect())
}

/// Sends datagrams, each to its address or to the socket's peer, as many as there is room for, at most 1024, by
/// one call. Gives their number.
///
/// # Errors
///
/// The system's, if it comes with the first: `WouldBlock` if there is no room.
pub fn send_many<'a>(
    fd: BorrowedFd<'_>,
    datagrams: impl Iterator<Item = (&'a [u8], Option<SockAddr>)>,
) -> io::Result<usize> {
    let (bufs, mut names): (Vec<_>, Vec<_>) = datagrams.take(MOST).unzip();
    let mut parts: Vec<_> = bufs
        .iter()
        .map(|buf: &&[u8]| libc::iovec {
            iov_base: buf.as_ptr().cast_mut().cast(),
            iov_len: buf.len(),
        })
        .collect();
    let mut headers: Vec<_> = parts
        .iter_mut()
        .zip(&mut names)
        .map(|(part, name)| {
            let mut msg_hdr = header(part);
            if let Some(name) = name {
                msg_hdr.msg_name = name.as_mut_ptr().cast();
                msg_hdr.msg_namelen = name.len();
            }
            libc::mmsghdr { msg_hdr, msg_len: 0 }
        })
        .collect();
    let sent = sys::retry(|| {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: as many headers, and what they point to, are there for the call, which only reads the bytes.
        sys::check(unsafe {
            libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), headers.len() as _, flags as _)
        })
    })?;
    Ok(sent as usize)
}

/// A message of one buffer, with nothing beside it.
fn header(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeroes is a value of it: no name, no bytes, nothing beside.
    let mut header = unsafe { mem::zeroed::<libc::msghdr>() };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header
}
