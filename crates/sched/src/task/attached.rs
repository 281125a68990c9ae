//! What few tasks have: a name, and a context. Both in one word, as every task has the room.

use super::Name;
use super::vars::Context;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ptr;
// Not the switched atomics: a model has nothing to find here that it does not find in the state word.
use std::sync::atomic::{AtomicPtr, Ordering};

/// The word is null, or a pointer whose lowest bits say to what.
///
/// The name never changes, and anybody who reaches the task may read it. The context is the task's own: it is
/// read and changed by the thread that has `RUNNING` only, and by whoever makes or frees the task. A task with a
/// name that gets a context later has its word changed under the eyes of those who read the name: the text is
/// where it was, and shared by both words.
pub(super) struct Attached(AtomicPtr<()>);

/// A [`Context`].
const CONTEXT: usize = 0;
/// A [`Name`].
const NAME: usize = 1;
/// A [`Both`], in a box.
const BOTH: usize = 2;
const TAGS: usize = 3;

struct Both {
    name: Name,
    context: UnsafeCell<Option<Context>>,
}

/// What the word points to.
enum Word<'a> {
    Nothing,
    Context(ManuallyDrop<Context>),
    Name(ManuallyDrop<Name>),
    Both(&'a Both),
}

impl Attached {
    #[inline]
    pub(super) fn new(name: Option<Name>, context: Option<Context>) -> Self {
        Self(AtomicPtr::new(match (name, context) {
            (None, None) => ptr::null_mut(),
            (None, Some(context)) => tagged(context.into_raw(), CONTEXT),
            (Some(name), None) => tagged(name.into_raw(), NAME),
            (Some(name), Some(context)) => both(name, context),
        }))
    }

    /// The name. Anybody may ask.
    pub(super) fn name(&self) -> Option<Name> {
        match self.word_with_name()? {
            Word::Name(name) => Some((*name).clone()),
            Word::Both(both) => Some(both.name.clone()),
            Word::Nothing | Word::Context(_) => None,
        }
    }

    /// Lends the name's text.
    pub(super) fn text(&self) -> Option<&str> {
        let name = match self.word_with_name()? {
            Word::Name(name) => ptr::from_ref::<str>(&name),
            Word::Both(both) => ptr::from_ref::<str>(&both.name),
            Word::Nothing | Word::Context(_) => return None,
        };
        // SAFETY: the text lives as long as the last share in the name; the word has one until it is dropped,
        // which ends the borrow of `self`.
        Some(unsafe { &*name })
    }

    /// The context.
    ///
    /// # Safety
    ///
    /// The caller runs in the task: on the thread that has `RUNNING`.
    pub(super) unsafe fn context(&self) -> Option<Context> {
        match self.word() {
            Word::Nothing | Word::Name(_) => None,
            Word::Context(context) => Some((*context).clone()),
            // SAFETY: by the caller's word nobody else is at it, and what is got here ends with this line.
            Word::Both(both) => unsafe { (*both.context.get()).clone() },
        }
    }

    /// Puts another context in the place of the present one, which is returned.
    ///
    /// # Safety
    ///
    /// As for [`context`](Self::context).
    pub(super) unsafe fn exchange(&self, context: Option<Context>) -> Option<Context> {
        // Release: pairs with `word`: who sees the new word sees what it points to.
        let set = |word| self.0.store(word, Ordering::Release);
        let word = |context: Option<Context>| {
            context.map_or(ptr::null_mut(), |context| tagged(context.into_raw(), CONTEXT))
        };
        match self.word() {
            Word::Nothing => {
                set(word(context));
                None
            }
            Word::Context(former) => {
                set(word(context));
                Some(ManuallyDrop::into_inner(former))
            }
            Word::Name(name) => {
                // The name's share goes from one word to the other.
                if let Some(context) = context {
                    set(both(ManuallyDrop::into_inner(name), context));
                }
                None
            }
            // SAFETY: as in `context`.
            Word::Both(both) => unsafe { both.context.get().replace(context) },
        }
    }

    /// Takes the context, if there is one: at the end of the task.
    ///
    /// # Safety
    ///
    /// As for [`context`](Self::context).
    #[inline]
    pub(super) unsafe fn take_context(&self) -> Option<Context> {
        // Relaxed: only whoever may change it asks.
        if self.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // SAFETY: by the caller's word.
        unsafe { self.exchange_rarely() }
    }

    #[cold]
    unsafe fn exchange_rarely(&self) -> Option<Context> {
        // SAFETY: by the caller's word.
        unsafe { self.exchange(None) }
    }

    fn word(&self) -> Word<'_> {
        // Acquire: pairs with `exchange`.
        self.word_of(self.0.load(Ordering::Acquire))
    }

    /// The word, if there is a name in it. For those who are not in the task: a context that is there may be
    /// freed meanwhile, so they make nothing of it, whereas a name stays.
    fn word_with_name(&self) -> Option<Word<'_>> {
        // Acquire: pairs with `exchange`.
        let word = self.0.load(Ordering::Acquire);
        (word.addr() & TAGS != CONTEXT).then(|| self.word_of(word))
    }

    fn word_of(&self, word: *mut ()) -> Word<'_> {
        let to = word.map_addr(|address| address & !TAGS);
        if to.is_null() {
            return Word::Nothing;
        }
        // SAFETY: the tag says what the pointer was made of (`new`, `exchange`), and the word has a share in it.
        unsafe {
            match word.addr() & TAGS {
                CONTEXT => Word::Context(ManuallyDrop::new(Context::from_raw(to))),
                NAME => Word::Name(ManuallyDrop::new(Name::from_raw(to))),
                _ => Word::Both(&*to.cast::<Both>()),
            }
        }
    }
}

fn tagged(pointer: *const (), tag: usize) -> *mut () {
    debug_assert!(pointer.addr() & TAGS == 0, "what is behind it is aligned");
    pointer.cast_mut().map_addr(|address| address | tag)
}

#[cold]
fn both(name: Name, context: Context) -> *mut () {
    let both = Both { name, context: UnsafeCell::new(Some(context)) };
    tagged(Box::into_raw(Box::new(both)).cast(), BOTH)
}

impl Drop for Attached {
    #[inline]
    fn drop(&mut self) {
        #[cold]
        fn free(attached: &Attached) {
            match attached.word() {
                Word::Nothing => {}
                Word::Context(context) => drop(ManuallyDrop::into_inner(context)),
                Word::Name(name) => drop(ManuallyDrop::into_inner(name)),
                // SAFETY: from `Box::into_raw` (`both`), and the word is used no more.
                Word::Both(both) => drop(unsafe { Box::from_raw(ptr::from_ref(both).cast_mut()) }),
            }
        }
        if !self.0.get_mut().is_null() {
            free(self);
        }
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_context_fit_together_in_any_order() {
        let context = || Context::of_one(1, std::sync::Arc::new(7_u8));
        for (name, first) in [(false, false), (false, true), (true, false), (true, true)] {
            let attached = Attached::new(name.then(|| Name::new("reader")), first.then(&context));
            let text = attached.text().map(str::to_owned);
            assert_eq!(text.as_deref(), name.then_some("reader"));
            // SAFETY: here nobody else is at it.
            unsafe {
                assert_eq!(attached.context().is_some(), first);
                assert_eq!(attached.exchange(Some(context())).is_some(), first);
                assert!(attached.exchange(Some(context())).is_some());
                assert!(attached.context().is_some());
                assert_eq!(attached.text(), text.as_deref());
                assert_eq!(attached.name().as_deref(), text.as_deref());
                assert!(attached.take_context().is_some());
                assert!(attached.take_context().is_none() && attached.context().is_none());
                assert_eq!(attached.text(), text.as_deref());
                // What is left at the end goes with it.
                assert!(attached.exchange(Some(context())).is_none());
            }
        }
    }
}
