//! An `UnsafeCell` whose every access is bracketed, so that loom can see it.

#[cfg(filch_loom)]
pub use loom::cell::UnsafeCell;

/// [`std::cell::UnsafeCell`] with loom's interface: a pointer is lent to a closure, so a model checker
/// knows when the access begins and when it ends. Here it costs nothing.
#[cfg(not(filch_loom))]
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct UnsafeCell<T: ?Sized>(std::cell::UnsafeCell<T>);

#[cfg(not(filch_loom))]
impl<T> UnsafeCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Takes the value out of a cell nobody else has.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

#[cfg(not(filch_loom))]
impl<T: ?Sized> UnsafeCell<T> {
    /// Lends a pointer for reading. The caller sees to it that nobody writes meanwhile.
    #[inline(always)]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Lends a pointer for writing. The caller sees to it that nobody else looks meanwhile.
    #[inline(always)]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
