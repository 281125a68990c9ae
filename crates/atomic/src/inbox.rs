//! Messages from any thread to one owner.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// A queue that any thread pushes to and one owner empties.
///
/// # Protocol
///
/// A lock around a vector, and one flag that says whether there is mail, so that an owner with none
/// looks at one word and takes no lock. Contention is per owner: the only threads that meet on this
/// lock are those with something to say to the same worker at the same moment, and each holds it for
/// one push.
///
/// The flag is raised under the lock after the push and lowered under the lock by the owner before it
/// takes the mail, so it is never down while there is mail and no lock is held. It may be read stale:
/// the owner that reads it *down* just before going to sleep relies on the sender, who pushes, then
/// fences (S2), then looks whether the owner sleeps. One of the two sees the other.
#[derive(Debug)]
pub struct Inbox<T> {
    mail: Mutex<Vec<T>>,
    has_mail: AtomicBool,
}

impl<T> Inbox<T> {
    /// An empty inbox.
    pub fn new() -> Self {
        Self { mail: Mutex::new(Vec::new()), has_mail: AtomicBool::new(false) }
    }

    /// Leaves a message. True if the inbox was empty before.
    pub fn push(&self, message: T) -> bool {
        let mut mail = self.mail.lock();
        let was_empty = mail.is_empty();
        mail.push(message);
        if was_empty {
            // Release: pairs with the Acquire in `is_empty`; the mail itself is under the lock.
            self.has_mail.store(true, Ordering::Release);
        }
        was_empty
    }

    /// Whether there is no mail. One load; may be stale (see the type's protocol).
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire: pairs with the Release in `push`.
        !self.has_mail.load(Ordering::Acquire)
    }

    /// Takes out the messages that `keep` gives up, oldest first; the others stay, in their order. For
    /// threads that help the owner: unlike it, they may not use up what they cannot do.
    ///
    /// `keep` runs under the lock.
    pub fn retain(&self, keep: impl FnMut(&T) -> bool) {
        if self.is_empty() {
            return;
        }
        let mut mail = self.mail.lock();
        mail.retain(keep);
        if mail.is_empty() {
            // Relaxed: under the lock, which `push` takes as well; a later push raises it again.
            self.has_mail.store(false, Ordering::Relaxed);
        }
    }

    /// Moves every message to the end of `into`, oldest first. For the owner alone.
    pub fn drain(&self, into: &mut Vec<T>) {
        if self.is_empty() {
            return;
        }
        let mut mail = self.mail.lock();
        // Relaxed: under the lock, which `push` takes as well; a later push raises it again.
        self.has_mail.store(false, Ordering::Relaxed);
        into.append(&mut mail);
    }
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::Inbox;
    use std::sync::Arc;

    #[test]
    fn keeps_order_and_says_when_it_was_empty() {
        let inbox = Inbox::new();
        assert!(inbox.is_empty());
        assert!(inbox.push(1));
        assert!(!inbox.push(2));
        assert!(!inbox.is_empty());
        let mut mail = vec![0];
        inbox.drain(&mut mail);
        assert_eq!(mail, [0, 1, 2]);
        assert!(inbox.is_empty());
        inbox.drain(&mut mail);
        assert_eq!(mail, [0, 1, 2]);
        assert!(inbox.push(3));
    }

    #[test]
    fn a_helper_takes_only_what_it_can_do() {
        let inbox = Inbox::new();
        inbox.retain(|_| panic!("there is nothing"));
        (0..6).for_each(|n| {
            inbox.push(n);
        });
        inbox.retain(|n| n % 2 == 0);
        let mut mail = Vec::new();
        inbox.drain(&mut mail);
        assert_eq!(mail, [0, 2, 4]);
        inbox.push(6);
        inbox.retain(|_| false);
        assert!(inbox.is_empty());
        assert!(inbox.push(7), "the next one is noticed again");
        assert!(!inbox.is_empty());
    }

    #[test]
    fn loses_nothing_from_many_senders() {
        const EACH: usize = 10_000;
        let inbox = Arc::new(Inbox::new());
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let inbox = inbox.clone();
                std::thread::spawn(move || {
                    for number in 0..EACH {
                        inbox.push((sender, number));
                    }
                })
            })
            .collect();
        let mut mail = Vec::new();
        while mail.len() < 4 * EACH {
            inbox.drain(&mut mail);
            std::thread::yield_now();
        }
        for sender in senders {
            sender.join().unwrap();
        }
        for sender in 0..4 {
            let seen: Vec<_> = mail.iter().filter(|m| m.0 == sender).map(|m| m.1).collect();
            assert!(seen.iter().copied().eq(0..EACH), "in order, each once");
        }
    }
}
