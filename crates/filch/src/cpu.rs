//! Work for the processor, spread over the workers by a thread that waits for it.
//!
//! [`join`] runs two closures, [`scope`] as many as you like; they may borrow from the frame that waits. Called by
//! a task this blocks its poll, as the computation would; the neighbours of that task go on elsewhere meanwhile.
//!
//! ```
//! filch::run(async {
//!     let words = ["some", "words", "to", "sort"];
//!     let (mut by_text, mut by_length) = (words, words);
//!     filch::cpu::join(|| by_text.sort(), || by_length.sort_by_key(|word| word.len()));
//!     assert_eq!(by_text, ["some", "sort", "to", "words"]);
//!     assert_eq!(by_length, ["to", "some", "sort", "words"]);
//! });
//! ```
//!
//! What a closure awaits does not exist: for that there are [`scope_with`](crate::scope_with) and
//! [`local_scope`](crate::local_scope). `docs/borrowing.md` says when to take which. For code that waits in a system
//! call there is [`spawn_blocking`](crate::spawn_blocking).

#[doc(inline)]
pub use filch_structured::cpu::{Scope, for_each_chunk, join, scope};
