//! The buffers of operations that belong to a stream: its own, or ones that were handed over to it.
//!
//! An operation outlives the future that began it, so its type cannot name the buffer of whoever called.
//! What was handed over is kept behind a pointer, and found again by its type. A vector, the usual buffer,
//! is kept as it is, without an allocation.

use filch_uring::{IoBuf, IoBufMut, IoBufs, IoBufsMut};
use std::any::Any;
use std::ptr::NonNull;
use std::slice;

/// Where a read puts its bytes.
pub(crate) enum ReadBuffer {
    /// A vector: the stream's own, or one that was handed over.
    Vec(Vec<u8>),
    /// Any other that was handed over.
    Other(Box<dyn AnyBufMut>),
    /// Several that were handed over. As one buffer it is an empty one.
    Many(Box<dyn AnyBufsMut>),
}

impl ReadBuffer {
    /// Several that were handed over.
    pub(crate) fn of_many<B: IoBufsMut>(bufs: B) -> Self {
        Self::Many(Box::new(bufs))
    }

    /// Those that were handed over, or stand-ins, if they are lost to the kernel.
    pub(crate) fn give_back_many<B: IoBufsMut>(self) -> B {
        let given = match self {
            Self::Many(many) => unboxed(many),
            _ => None,
        };
        given.unwrap_or_else(B::stand_in)
    }

    pub(super) fn is_many(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    /// As one buffer. The first `len` bytes of several are copied into one; then these are there, too.
    pub(super) fn into_one(self, mut len: usize) -> (Self, Option<Box<dyn AnyBufsMut>>) {
        let Self::Many(mut many) = self else { return (self, None) };
        let mut all = Vec::with_capacity(len);
        many.parts_mut(&mut |at, room| {
            let here = room.min(len);
            // SAFETY: the kernel has filled `len` bytes of them, from the first on.
            all.extend_from_slice(unsafe { slice::from_raw_parts(at, here) });
            len -= here;
        });
        (Self::Vec(all), Some(many))
    }

    /// One that was handed over.
    pub(crate) fn of<B: IoBufMut>(buf: B) -> Self {
        same(buf).map_or_else(|buf| Self::Other(Box::new(buf)), Self::Vec)
    }

    /// The one that was handed over, or a stand-in, if it is lost to the kernel.
    pub(crate) fn give_back<B: IoBufMut>(self) -> B {
        let given = match self {
            Self::Vec(vec) => same(vec).ok(),
            Self::Other(other) => unboxed(other),
            Self::Many(_) => None,
        };
        given.unwrap_or_else(B::stand_in)
    }
}

// SAFETY: each of the two keeps the promise, and a box's contents stay where they are.
unsafe impl IoBuf for ReadBuffer {
    fn as_ptr(&self) -> *const u8 {
        match self {
            Self::Vec(vec) => IoBuf::as_ptr(vec),
            Self::Other(other) => other.bytes().as_ptr(),
            Self::Many(_) => NonNull::dangling().as_ptr(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Vec(vec) => vec.len(),
            Self::Other(other) => other.bytes().len(),
            Self::Many(_) => 0,
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
            Self::Many(_) => NonNull::dangling().as_ptr(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Vec(vec) => vec.capacity(),
            Self::Other(other) => other.capacity(),
            Self::Many(_) => 0,
        }
    }

    unsafe fn set_init(&mut self, len: usize) {
        match self {
            // SAFETY: the caller's promise.
            Self::Vec(vec) => unsafe { IoBufMut::set_init(vec, len) },
            // SAFETY: as above.
            Self::Other(other) => unsafe { other.set_init(len) },
            Self::Many(_) => {}
        }
    }
}

// SAFETY: as above; one that is not several is one.
unsafe impl IoBufsMut for ReadBuffer {
    fn parts_mut(&mut self, put: &mut dyn FnMut(*mut u8, usize)) {
        match self {
            Self::Many(many) => many.parts_mut(put),
            one => put(one.as_mut_ptr(), IoBufMut::capacity(one)),
        }
    }

    unsafe fn set_filled(&mut self, len: usize) {
        match self {
            // SAFETY: the caller's promise.
            Self::Many(many) => unsafe { many.set_filled(len) },
            // SAFETY: as above.
            one => unsafe { IoBufMut::set_init(one, len) },
        }
    }

    fn stand_in() -> Self {
        <Self as IoBuf>::stand_in()
    }

    fn initialised_parts(&self, put: &mut dyn FnMut(usize)) {
        match self {
            Self::Many(many) => many.initialised_parts(put),
            one => put(IoBuf::len(one)),
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
    /// As one buffer it is an empty one.
    Many(Box<dyn AnyBufs>),
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
            Bytes::Other(other) => unboxed(other),
            Bytes::Many(_) => None,
        };
        given.unwrap_or_else(B::stand_in)
    }

    /// Several that were handed over.
    pub(crate) fn of_many<B: IoBufs>(bufs: B) -> Self {
        Self { bytes: Bytes::Many(Box::new(bufs)), from: 0 }
    }

    /// Those that were handed over, or stand-ins, if they are lost to the kernel.
    pub(crate) fn give_back_many<B: IoBufs>(self) -> B {
        let given = match self.bytes {
            Bytes::Many(many) => unboxed(many),
            _ => None,
        };
        given.unwrap_or_else(B::stand_in)
    }

    pub(super) fn is_many(&self) -> bool {
        matches!(self.bytes, Bytes::Many(_))
    }

    /// How many bytes are left to be written.
    pub(super) fn left(&self) -> usize {
        let mut left = 0;
        IoBufs::parts(self, &mut |_, len| left += len);
        left
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
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self.bytes {
            Bytes::Vec(vec) => vec,
            bytes => Self { bytes, ..self }.give_back(),
        }
    }
}

impl From<Vec<u8>> for WriteBuffer {
    fn from(vec: Vec<u8>) -> Self {
        Self { bytes: Bytes::Vec(vec), from: 0 }
    }
}

impl WriteBuffer {
    /// All of it, where it is one buffer.
    fn all(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Vec(vec) => vec,
            Bytes::Other(other) => other.bytes(),
            Bytes::Many(_) => &[],
        }
    }
}

// SAFETY: as for `ReadBuffer`; it is cut off at what is initialised.
unsafe impl IoBuf for WriteBuffer {
    fn as_ptr(&self) -> *const u8 {
        let all = self.all();
        all[self.from.min(all.len())..].as_ptr()
    }

    fn len(&self) -> usize {
        self.all().len().saturating_sub(self.from)
    }

    fn stand_in() -> Self {
        Vec::new().into()
    }

    fn own(&mut self) -> Option<*mut u8> {
        let (len, own) = match &mut self.bytes {
            Bytes::Vec(vec) => (vec.len(), Some(vec.as_mut_ptr())),
            Bytes::Other(other) => (other.bytes().len(), other.own_bytes()),
            Bytes::Many(_) => (0, None),
        };
        // SAFETY: within what is initialised, or just past it.
        own.map(|own| unsafe { own.add(self.from.min(len)) })
    }
}

// SAFETY: as above; one that is not several is one, and what is written is left out.
unsafe impl IoBufs for WriteBuffer {
    fn parts(&self, put: &mut dyn FnMut(*const u8, usize)) {
        let Bytes::Many(many) = &self.bytes else { return put(self.as_ptr(), self.len()) };
        let mut skip = self.from;
        many.parts(&mut |at, len| {
            let written = skip.min(len);
            skip -= written;
            put(at.wrapping_add(written), len - written);
        });
    }

    fn stand_in() -> Self {
        <Self as IoBuf>::stand_in()
    }

    fn own_parts(&mut self, put: &mut dyn FnMut(Option<*mut u8>)) {
        let Bytes::Many(many) = &mut self.bytes else { return put(self.own()) };
        let mut lens = Vec::new();
        many.parts(&mut |_, len| lens.push(len));
        let (mut lens, mut skip) = (lens.into_iter(), self.from);
        many.own_parts(&mut |own| {
            let written = skip.min(lens.next().unwrap_or(0));
            skip -= written;
            put(own.map(|own| own.wrapping_add(written)));
        });
    }
}

/// What [`IoBuf`] says, of whichever type.
pub(crate) trait AnyBuf: Any + Send {
    fn bytes(&self) -> &[u8];

    fn own_bytes(&mut self) -> Option<*mut u8>;
}

impl<B: IoBuf> AnyBuf for B {
    fn bytes(&self) -> &[u8] {
        // Not `as_slice`, of which somebody's own may be anything.
        // SAFETY: the trait's promise (`IoBuf`), which is about these two.
        unsafe { slice::from_raw_parts(self.as_ptr(), self.len()) }
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

/// What [`IoBufs`] says, of whichever type.
pub(crate) trait AnyBufs: Any + Send {
    fn parts(&self, put: &mut dyn FnMut(*const u8, usize));

    fn own_parts(&mut self, put: &mut dyn FnMut(Option<*mut u8>));
}

impl<B: IoBufs> AnyBufs for B {
    fn parts(&self, put: &mut dyn FnMut(*const u8, usize)) {
        IoBufs::parts(self, put);
    }

    fn own_parts(&mut self, put: &mut dyn FnMut(Option<*mut u8>)) {
        IoBufs::own_parts(self, put);
    }
}

/// What [`IoBufsMut`] says, of whichever type.
pub(crate) trait AnyBufsMut: Any + Send {
    fn parts_mut(&mut self, put: &mut dyn FnMut(*mut u8, usize));

    fn initialised_parts(&self, put: &mut dyn FnMut(usize));

    /// # Safety
    ///
    /// As for [`IoBufsMut::set_filled`].
    unsafe fn set_filled(&mut self, len: usize);
}

impl<B: IoBufsMut> AnyBufsMut for B {
    fn parts_mut(&mut self, put: &mut dyn FnMut(*mut u8, usize)) {
        IoBufsMut::parts_mut(self, put);
    }

    fn initialised_parts(&self, put: &mut dyn FnMut(usize)) {
        IoBufsMut::initialised_parts(self, put);
    }

    unsafe fn set_filled(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { IoBufsMut::set_filled(self, len) };
    }
}

/// What is in the box, if it is of type `B`.
fn unboxed<B: 'static>(any: Box<dyn Any>) -> Option<B> {
    any.downcast().ok().map(|buf| *buf)
}

/// The value as one of type `B`, if that is what it is.
fn same<A: 'static, B: 'static>(value: A) -> Result<B, A> {
    let mut value = Some(value);
    match (&mut value as &mut dyn Any).downcast_mut::<Option<B>>() {
        Some(same) => Ok(same.take().expect("it was just put there")),
        None => Err(value.expect("it was just put there")),
    }
}
