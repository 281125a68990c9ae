//! Unpark x park of a ring's owner (`filch_uring::wake`).
#![cfg(filch_loom)]

use filch_atomic::Inbox;
use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_uring::wake::WakeWord;
use loom::thread;

/// Stands in for the eventfd with a read armed on it, and the ring that waits for that read.
struct Event {
    count: Mutex<u32>,
    changed: Condvar,
}

impl Event {
    fn signal(&self) {
        *self.count.lock() += 1;
        self.changed.notify_one();
    }

    /// The wait in the ring: ends when the read does, which takes the whole count.
    fn wait(&self) {
        let mut count = self.count.lock();
        while *count == 0 {
            self.changed.wait(&mut count);
        }
        *count = 0;
    }
}

struct Ring {
    word: WakeWord,
    event: Event,
    inbox: Inbox<u32>,
}

impl Ring {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            word: WakeWord::new(),
            event: Event { count: Mutex::new(0), changed: Condvar::new() },
            inbox: Inbox::new(),
        })
    }

    fn send(&self, message: u32) {
        self.inbox.push(message);
        if self.word.notify() {
            self.event.signal();
        }
    }

    /// As `Driver::park`, without its second look at the inbox, which is not what it rests on.
    fn park(&self) {
        if self.word.prepare() {
            self.event.wait();
            self.word.finish();
        }
    }
}

/// The owner sleeps only while there is nothing for it: it gets both messages. A lost wake-up would be
/// a deadlock, which loom reports.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let ring = Ring::new();
        let senders = [1, 2].map(|message| {
            let ring = ring.clone();
            thread::spawn(move || ring.send(message))
        });
        let mut mail = Vec::new();
        while mail.len() < 2 {
            ring.inbox.drain(&mut mail);
            if mail.len() < 2 {
                ring.park();
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// An unpark that comes before the park makes that park return: a token, not a moment. And what the
/// sender did before it is seen after.
#[test]
fn an_early_unpark_is_kept() {
    loom::model(|| {
        let ring = Ring::new();
        let sender = {
            let ring = ring.clone();
            thread::spawn(move || ring.send(1))
        };
        ring.park();
        let mut mail = Vec::new();
        ring.inbox.drain(&mut mail);
        assert_eq!(mail, [1]);
        sender.join().unwrap();
    });
}
