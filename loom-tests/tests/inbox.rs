//! The inbox: senders that push, fence and look whether the owner sleeps, and an owner that says so, fences
//! and looks into the inbox. No message is lost, and each comes once, in order.
#![cfg(filch_loom)]

use filch_atomic::Inbox;
use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicBool, Ordering, fence};
use filch_atomic::thread;
use filch_sched::{Park, Peer, ThreadPark, ThreadPeer};

/// An inbox whose owner sleeps by S2.
struct Office {
    inbox: Inbox<u32>,
    asleep: AtomicBool,
    peer: ThreadPeer,
}

impl Office {
    fn new() -> (Arc<Self>, ThreadPark) {
        let park = ThreadPark::new();
        let peer = park.peer();
        (Arc::new(Self { inbox: Inbox::new(), asleep: AtomicBool::new(false), peer }), park)
    }

    fn send(&self, message: u32) {
        self.inbox.push(message);
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.peer.unpark();
        }
    }

    /// Collects until there are as many, sleeping whenever there is nothing.
    fn collect(&self, park: &mut ThreadPark, messages: usize) -> Vec<u32> {
        let mut mail = Vec::new();
        while mail.len() < messages {
            self.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.inbox.is_empty() {
                park.park(None).expect("it cannot fail");
            }
            self.asleep.store(false, Ordering::Relaxed);
            self.inbox.drain(&mut mail);
        }
        mail
    }
}

#[test]
fn a_sleeping_owner_gets_every_message_of_one_sender_in_order() {
    loom::model(|| {
        let (office, mut park) = Office::new();
        let sender = {
            let office = office.clone();
            thread::spawn(move || {
                office.send(1);
                office.send(2);
            })
        };
        assert_eq!(office.collect(&mut park, 2), [1, 2]);
        sender.join().unwrap();
        assert!(office.inbox.is_empty());
    });
}

#[test]
fn a_sleeping_owner_gets_the_messages_of_two_senders() {
    loom::model(|| {
        let (office, mut park) = Office::new();
        let senders = [1, 2].map(|message| {
            let office = office.clone();
            thread::spawn(move || office.send(message))
        });
        let mut mail = office.collect(&mut park, 2);
        mail.sort_unstable();
        assert_eq!(mail, [1, 2]);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// One sender at most is told that the inbox was empty before it, for each time that it was emptied.
#[test]
fn one_sender_is_the_first() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new());
        let other = {
            let inbox = inbox.clone();
            thread::spawn(move || inbox.push(1))
        };
        let first = inbox.push(2);
        assert!(first != other.join().unwrap(), "one of the two");
        let mut mail = Vec::new();
        inbox.drain(&mut mail);
        assert_eq!(mail.len(), 2);
        assert!(inbox.push(3));
    });
}
