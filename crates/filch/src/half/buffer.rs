//! The buffers of operations that belong to a stream: its own, or ones that were handed over to it.
//!
//! An operation outlives the future that began it, so its type cannot name the buffer of whoever called.
//! What was handed over is kept behind a pointer, and found again by its type. A vector, the usual buffer,
//! is kept as it is, without an allocation.

use filch_uring::{IoBuf, IoBufMut};
use std::any::Any;

/// Where a read puts its bytes.
pub(crate) enum ReadBuffer {
    /// A vector: the stream's own, or one that was handed over.
    Vec(Vec<u8>),
    /// Any other that was handed over.
    Other(Box<dyn AnyBufMut>),
}

impl ReadBuffer {
    /// One that was handed over.
    pub(crate) fn of<B: IoBufMut>(buf: B) -> Self {
        same(buf).map_or_else(|buf| Self::Other(Box::new(buf)), Self::Vec)
    }

    /// The one that was handed over, or a stand-in, if it is lost to the kernel.
    pub(crate) fn give_back<B: IoBufMut>(self) -> B {
        let given = match self {
            Self::Vec(vec) => same(vec).ok(),
            Self::Other(other) => {
                let other: Box<dyn Any> = other;
                other.downcast().ok().map(|buf| *buf)
            }
        };
        given.unwrap_or_else(B::stand_in)
    }

    /// What is left of it when its bytes are taken: memory for the next operation, unless it is more than
    /// `most`.
    pub(super) fn into_memory(self, most: usize) -> Vec<u8> {
        match self {
            Self::Vec(vec) if vec.capacity() <= most => vec,
            _ => Vec::new(),
        }
    }
}

// SAFETY: each of the two keeps the promise, and a box's contents stay where they are.
unsafe impl IoBuf for ReadBuffer {
    fn as_ptr(&self) -> *const u8 {
        match self {
            Self::Vec(vec) => IoBuf::as_ptr(vec),
            Self::Other(other) => other.bytes().as_ptr(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Vec(vec) => vec.len(),
            Self::Other(other) => other.bytes().len(),
        }
    }

    fn stand_in() -> Self {
        Self::Vec(Vec::new())
    }

    fn own(&mut self) -> Option<*mut u8> {
        Some(IoBufMut::as_mut_ptr(self))
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for ReadBuffer {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        match self {
            Self::Vec(vec) => vec.as_mut_ptr(),
            Self::Other(other) => other.start(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Vec(vec) => vec.capacity(),
            Self::Other(other) => other.capacity(),
        }
    }

    unsafe fn set_init(&mut self, len: usize) {
        match self {
            // SAFETY: the caller's promise.
            Self::Vec(vec) => unsafe { IoBufMut::set_init(vec, len) },
            // SAFETY: as above.
            Self::Other(other) => unsafe { other.set_init(len) },
        }
    }
}

/// Where a write takes its bytes from.
pub(crate) struct WriteBuffer {
    bytes: Bytes,
    /// So many are written already.
    from: usize,
}

enum Bytes {
    Vec(Vec<u8>),
    Other(Box<dyn AnyBuf>),
}

impl WriteBuffer {
    /// One that was handed over.
    pub(crate) fn of<B: IoBuf>(buf: B) -> Self {
        let bytes = same(buf).map_or_else(|buf| Bytes::Other(Box::new(buf)), Bytes::Vec);
        Self { bytes, from: 0 }
    }

    /// The one that was handed over, or a stand-in, if it is lost to the kernel.
    pub(crate) fn give_back<B: IoBuf>(self) -> B {
        let given = match self.bytes {
            Bytes::Vec(vec) => same(vec).ok(),
            Bytes::Other(other) => {
                let other: Box<dyn Any> = other;
                other.downcast().ok().map(|buf| *buf)
            }
        };
        given.unwrap_or_else(B::stand_in)
    }

    /// How many bytes are written already.
    pub(super) fn written(&self) -> usize {
        self.from
    }

    /// Goes on behind the first `written` bytes of those that it has left.
    pub(super) fn advance(&mut self, written: usize) {
        self.from += written;
    }

    /// The stream's own vector.
    pub(super) fn into_vec(self) -> Vec<u8> {
        self.give_back()
    }
}

impl From<Vec<u8>> for WriteBuffer {
    fn from(vec: Vec<u8>) -> Self {
        Self { bytes: Bytes::Vec(vec), from: 0 }
    }
}

// SAFETY: as for `ReadBuffer`; it is cut off at what is initialised.
unsafe impl IoBuf for WriteBuffer {
    fn as_ptr(&self) -> *const u8 {
        let all = match &self.bytes {
            Bytes::Vec(vec) => vec,
            Bytes::Other(other) => other.bytes(),
        };
        all[self.from.min(all.len())..].as_ptr()
    }

    fn len(&self) -> usize {
        let all = match &self.bytes {
            Bytes::Vec(vec) => vec.len(),
            Bytes::Other(other) => other.bytes().len(),
        };
        all.saturating_sub(self.from)
    }

    fn stand_in() -> Self {
        Vec::new().into()
    }

    fn own(&mut self) -> Option<*mut u8> {
        let (len, own) = match &mut self.bytes {
            Bytes::Vec(vec) => (vec.len(), Some(vec.as_mut_ptr())),
            Bytes::Other(other) => (other.bytes().len(), other.own_bytes()),
        };
        // SAFETY: within what is initialised, or just past it.
        own.map(|own| unsafe { own.add(self.from.min(len)) })
    }
}

/// What [`IoBuf`] says, of whichever type.
pub(crate) trait AnyBuf: Any + Send {
    fn bytes(&self) -> &[u8];

    fn own_bytes(&mut self) -> Option<*mut u8>;
}

impl<B: IoBuf> AnyBuf for B {
    fn bytes(&self) -> &[u8] {
        self.as_slice()
    }

    fn own_bytes(&mut self) -> Option<*mut u8> {
        self.own()
    }
}

/// What [`IoBufMut`] says, of whichever type.
pub(crate) trait AnyBufMut: AnyBuf {
    fn start(&mut self) -> *mut u8;

    fn capacity(&self) -> usize;

    /// # Safety
    ///
    /// As for [`IoBufMut::set_init`].
    unsafe fn set_init(&mut self, len: usize);
}

impl<B: IoBufMut> AnyBufMut for B {
    fn start(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        IoBufMut::capacity(self)
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { IoBufMut::set_init(self, len) };
    }
}

/// The value as one of type `B`, if that is what it is.
fn same<A: 'static, B: 'static>(value: A) -> Result<B, A> {
    let mut value = Some(value);
    match (&mut value as &mut dyn Any).downcast_mut::<Option<B>>() {
        Some(same) => Ok(same.take().expect("it was just put there")),
        None => Err(value.expect("it was just put there")),
    }
}
