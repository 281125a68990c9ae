//! A debug mode: does the kernel leave memory alone that it was told of?
//!
//! Memory that the kernel was told of is freed when it says that an operation is over (D1). That rests on two
//! promises of its: it writes to a buffer no more than it reports, and nothing afterwards. With a
//! [`Quarantine`] the driver holds it to them:
//!
//! * When an operation is staged, what is not initialised of its buffer is filled with a pattern, and of the
//!   rest a copy is kept. When it is over, whoever gets the buffer, everything beyond what was reported has to
//!   be as it was.
//! * The buffer of an operation that nobody waits for is not freed then. It is filled with another pattern and
//!   kept, until 256 others have come after it, or 8 MiB, or the driver is shut down; and then it has to be as
//!   it was. If the kernel should *read* it late, the other side gets the pattern, which a test of what arrives
//!   finds.
//!
//! It looks after buffers ([`Operation::lent`](crate::Operation::lent)), one or several to an operation. Addresses,
//! paths and message headers are in the operation itself or its box. A descriptor is closed when it would be without the mode (D6).
//!
//! Two things that kernels do are taken for violations though they harm nobody: a UDP datagram whose checksum
//! is wrong may have been written to the buffer before the next one was; and a read around the page cache
//! (`O_DIRECT`) may write a whole block where the file ends within it.

mod ward;

pub(crate) use ward::Ward;

use crate::buf::{IoBuf, IoBufMut, IoBufs, IoBufsMut};
use std::any::Any;
use std::sync::Arc;
use std::{fmt, ptr};

/// Whom to tell of memory that the kernel did not leave alone. With one in its [`Config`](crate::Config) a
/// driver keeps watch, which costs a copy or a filling of each buffer.
#[derive(Clone)]
pub struct Quarantine(Arc<dyn Fn(&Violation) + Send + Sync>);

impl Quarantine {
    /// Tells `hook`, on whatever thread finds out, under no lock. It is best not to panic there: the one that
    /// finds out may be a worker in the midst of delivering completions.
    pub fn new(hook: impl Fn(&Violation) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
}

/// Whether they tell the same hook.
impl PartialEq for Quarantine {
    fn eq(&self, other: &Self) -> bool {
        ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

impl Eq for Quarantine {}

impl fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantine").finish_non_exhaustive()
    }
}

/// Memory was changed that the kernel, or whoever it was, had to leave alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The kind of operation.
    pub operation: &'static str,
    /// When it was changed.
    pub when: When,
    /// Where in the part of the buffer that the kernel was told of the first change is, in bytes. Where it was told of
    /// several, one after the other.
    pub offset: usize,
    /// How long that part is, or those are together.
    pub len: usize,
}

/// When memory was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// While the operation was in flight, which reported that so many bytes were written and no more.
    Beyond(usize),
    /// After the operation was over.
    Late,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, offset, len, .. } = self;
        match self.when {
            When::Beyond(0) => write!(f, "the buffer of a {operation}, which reported no byte,")?,
            When::Beyond(one) => {
                write!(f, "the buffer of a {operation}, which reported {one} bytes,")?
            }
            When::Late => write!(f, "the buffer of a {operation}, which was over,")?,
        }
        write!(f, " was written to: byte {offset} of {len}")
    }
}

/// What owns memory.
pub type Memory = Box<dyn Any + Send>;

/// Memory that an operation tells the kernel of.
#[derive(Debug, Clone, Copy)]
pub struct Lent {
    at: *mut u8,
    /// So many bytes, of which so many from the beginning are initialised.
    len: usize,
    initialised: usize,
    /// The kernel may write to it.
    is_filled: bool,
    /// We may: it is nobody else's.
    is_own: bool,
}

impl Lent {
    /// For the kernel to write to.
    pub fn to_fill<B: IoBufMut>(buffer: &mut B) -> Self {
        let (at, len) = (buffer.as_mut_ptr(), buffer.capacity());
        let initialised = buffer.len().min(len);
        Self { at, len, initialised, is_filled: true, is_own: true }
    }

    /// For the kernel to read from.
    pub fn to_read<B: IoBuf>(buffer: &mut B) -> Self {
        let (own, len) = (buffer.own(), buffer.len());
        let at = own.unwrap_or_else(|| buffer.as_ptr().cast_mut());
        Self { at, len, initialised: len, is_filled: false, is_own: own.is_some() }
    }

    /// For the kernel to write to, one after the other. Those that do not say how much of them is initialised are left
    /// out, and all behind them.
    pub fn all_to_fill<B: IoBufsMut>(buffers: &mut B, put: &mut dyn FnMut(Self)) {
        let mut initialised = Vec::new();
        buffers.initialised_parts(&mut |len| initialised.push(len));
        let mut initialised = initialised.into_iter();
        buffers.parts_mut(&mut |at, len| {
            if let Some(initialised) = initialised.next() {
                let initialised = initialised.min(len);
                put(Self { at, len, initialised, is_filled: true, is_own: true });
            }
        });
    }

    /// For the kernel to read from, one after the other.
    pub fn all_to_read<B: IoBufs>(buffers: &mut B, put: &mut dyn FnMut(Self)) {
        let mut own = Vec::new();
        buffers.own_parts(&mut |part| own.push(part));
        let mut own = own.into_iter();
        buffers.parts(&mut |at, len| {
            let own = own.next().flatten();
            let at = own.unwrap_or_else(|| at.cast_mut());
            put(Self { at, len, initialised: len, is_filled: false, is_own: own.is_some() });
        });
    }
}
