//! Many datagrams at once.

use filch_uring::now::Datagram;
use std::fmt;
use std::net::SocketAddr;

/// Room for several datagrams, and those that were received into it: see
/// [`UdpSocket::recv_many_from`](super::UdpSocket::recv_many_from).
pub struct Batch {
    memory: Vec<u8>,
    size: usize,
    came: Vec<Datagram>,
}

impl Batch {
    /// Room for `count` datagrams of at most `size` bytes each. The system receives 1024 at most at a time.
    ///
    /// # Panics
    ///
    /// If that is more memory than there can be.
    pub fn new(count: usize, size: usize) -> Self {
        let len = count.checked_mul(size).expect("a batch larger than all memory");
        // An empty datagram takes a place, too.
        Self { memory: vec![0; len.max(count)], size, came: Vec::new() }
    }

    /// How many were received.
    pub fn len(&self) -> usize {
        self.came.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.came.is_empty()
    }

    /// Those that were received, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        self.came.iter().enumerate().map(|(place, datagram)| {
            let bytes = &self.memory[place * self.size..][..datagram.len];
            Received { bytes, datagram }
        })
    }

    /// The room for each.
    pub(super) fn rooms(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let size = self.size;
        self.memory.chunks_mut(size.max(1)).map(move |room| &mut room[..size])
    }

    pub(super) fn set(&mut self, came: Vec<Datagram>) {
        self.came = came;
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One of the datagrams of a [`Batch`].
#[derive(Clone, Copy)]
pub struct Received<'a> {
    bytes: &'a [u8],
    datagram: &'a Datagram,
}

impl<'a> Received<'a> {
    /// What is in it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Who sent it; none if that has no Internet address.
    pub fn from(&self) -> Option<SocketAddr> {
        self.datagram.from.to_inet()
    }

    /// Whether it was longer than there was room for. The rest is lost.
    pub fn is_truncated(&self) -> bool {
        self.datagram.is_truncated
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("len", &self.bytes.len())
            .field("from", &self.from())
            .field("is_truncated", &self.is_truncated())
            .finish()
    }
}
