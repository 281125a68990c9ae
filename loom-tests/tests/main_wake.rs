//! The main future's flag: a waker raises it and unparks the worker, which lowers it before each poll and
//! parks when it is down. No wake is lost, and a poll sees what its wakers did before they woke.
#![cfg(filch_loom)]

use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_sched::wake_flag::WakeFlag;
use filch_sched::{Park, Peer, ThreadPark, ThreadPeer};

struct Main {
    flag: WakeFlag,
    peer: ThreadPeer,
    /// What the main future waits for: Relaxed, as only the flag is to make it visible.
    events: AtomicUsize,
}

impl Main {
    fn new() -> (Arc<Self>, ThreadPark) {
        let park = ThreadPark::new();
        let peer = park.peer();
        (Arc::new(Self { flag: WakeFlag::new(), peer, events: AtomicUsize::new(0) }), park)
    }

    /// As `Woken::wake`, on another thread.
    fn happen(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
        if self.flag.raise() {
            self.peer.unpark();
        }
    }

    /// As the worker's loop, with nothing but the main future: polls it until as many events are seen.
    fn run(&self, park: &mut ThreadPark, events: usize) {
        loop {
            if self.flag.is_raised() {
                self.flag.lower();
                if self.events.load(Ordering::Relaxed) == events {
                    return;
                }
            }
            if !self.flag.is_raised() {
                park.park(None).expect("it cannot fail");
            }
        }
    }
}

#[test]
fn two_wakes_of_one_thread() {
    loom::model(|| {
        let (main, mut park) = Main::new();
        let other = {
            let main = main.clone();
            thread::spawn(move || {
                main.happen();
                main.happen();
            })
        };
        main.run(&mut park, 2);
        other.join().unwrap();
    });
}

/// The second of two wakers finds the flag raised, and leaves the unpark to the first.
#[test]
fn two_threads_wake_at_once() {
    loom::model(|| {
        let (main, mut park) = Main::new();
        let others = [(); 2].map(|()| {
            let main = main.clone();
            thread::spawn(move || main.happen())
        });
        main.run(&mut park, 2);
        for other in others {
            other.join().unwrap();
        }
    });
}
