//! Locks on whole files.

use crate::support::{PATIENCE, TempFile, breathe};
use filch::fs::{self, File, OpenOptions, TryLockError};
use filch::time::sleep;
use filch_testkit::limits::watchdog;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

async fn open(temp: &TempFile) -> File {
    OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap()
}

fn is_locked(other: &File) -> bool {
    match other.try_lock() {
        Ok(()) => {
            other.unlock().unwrap();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => panic!("{error}"),
    }
}

/// FS-15. Against another that has the file open, here and in the standard library.
#[filch::test]
async fn one_at_a_time_or_many_that_share() {
    let temp = TempFile::new("lock", b"x");
    let (one, other) = (open(&temp).await, open(&temp).await);
    let theirs = std::fs::File::open(&temp.0).unwrap();
    one.lock().await.unwrap();
    assert!(is_locked(&other));
    assert!(matches!(other.try_lock_shared(), Err(TryLockError::WouldBlock)));
    assert!(matches!(theirs.try_lock(), Err(TryLockError::WouldBlock)));
    // The other kind instead.
    one.lock_shared().await.unwrap();
    other.lock_shared().await.unwrap();
    theirs.try_lock_shared().unwrap();
    assert!(matches!(one.try_lock(), Err(TryLockError::WouldBlock)));
    theirs.unlock().unwrap();
    other.unlock().unwrap();
    one.try_lock().unwrap();
    // A clone is the same for the system.
    let clone = one.try_clone().await.unwrap();
    clone.lock().await.unwrap();
    drop(one);
    assert!(is_locked(&other));
    clone.unlock().unwrap();
    assert!(!is_locked(&other));
}

/// FS-15. Who waits gets it.
#[filch::test]
async fn who_waits_is_told() {
    let temp = TempFile::new("waits", b"x");
    let (one, other) = (open(&temp).await, open(&temp).await);
    one.lock().await.unwrap();
    let waits = filch::spawn(async move {
        other.lock().await.unwrap();
        other
    });
    breathe().await;
    assert!(!waits.is_finished());
    one.unlock().unwrap();
    let other = waits.await.unwrap();
    assert!(is_locked(&one));
    drop(other);
    assert!(!is_locked(&one));
}

/// FS-16. What a dropped future waited for is given up when it comes, or goes to who waits for the same.
#[filch::test]
async fn a_lock_for_nobody_is_given_up() {
    let temp = TempFile::new("nobody", b"x");
    for again in [None, Some(true), Some(false)] {
        let (one, other, third) = (open(&temp).await, open(&temp).await, open(&temp).await);
        one.lock().await.unwrap();
        {
            let mut waits = pin!(other.lock());
            assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        // It is still waited for: nothing of the kind can be had in between.
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        one.unlock().unwrap();
        match again {
            None => {
                while is_locked(&third) {
                    breathe().await;
                }
                // Whoever was there first: in the end nobody has it.
                while matches!(other.try_lock(), Err(TryLockError::WouldBlock)) {
                    breathe().await;
                }
                assert!(is_locked(&third));
            }
            Some(true) => {
                other.lock().await.unwrap();
                assert!(is_locked(&third));
            }
            Some(false) => {
                other.lock_shared().await.unwrap();
                third.try_lock_shared().unwrap();
                third.unlock().unwrap();
                assert!(matches!(third.try_lock(), Err(TryLockError::WouldBlock)));
            }
        }
        other.unlock().unwrap();
        assert!(!is_locked(&third));
    }
}

/// Whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // Release: pairs with the Acquire in `until_woken`.
        self.0.store(true, Ordering::Release);
    }
}

async fn until_woken(woken: &Woken) {
    // Acquire: pairs with the Release in `wake`.
    while !woken.0.load(Ordering::Acquire) {
        sleep(Duration::from_millis(1)).await;
    }
}

/// FS-16. Dropped at any moment after it was woken, too: it has no lock that nobody knows of.
#[filch::test]
async fn a_lock_dropped_when_it_could_be_had_is_nobodys() {
    let temp = TempFile::new("woken", b"x");
    let (one, other, third) = (open(&temp).await, open(&temp).await, open(&temp).await);
    one.lock().await.unwrap();
    let woken = Arc::new(Woken::default());
    {
        let mut waits = pin!(other.lock());
        let waker = Waker::from(woken.clone());
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        one.unlock().unwrap();
        until_woken(&woken).await;
    }
    third.try_lock().expect("nobody has it");
    assert!(is_locked(&other));
}

/// FS-16. Whoever goes on with the file in the standard library keeps the lock that he took there.
#[filch::test]
async fn a_dropped_lock_takes_nothing_from_who_has_the_file_next() {
    let temp = TempFile::new("handed on", b"x");
    let (one, other, third) = (open(&temp).await, open(&temp).await, open(&temp).await);
    one.lock().await.unwrap();
    {
        let mut waits = pin!(other.lock());
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let theirs = other.into_std().await.unwrap();
    one.unlock().unwrap();
    theirs.lock().unwrap();
    for _ in 0..50 {
        assert!(is_locked(&third));
        sleep(Duration::from_millis(1)).await;
    }
}

/// FS-16. Who waits for a lock keeps nobody from the threads for what blocks.
#[test]
fn waiting_for_locks_takes_no_threads() {
    let _watchdog = watchdog(PATIENCE);
    let temp = TempFile::new("no threads", b"x");
    let runtime = filch::Runtime::builder().workers(2).max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let one = open(&temp).await;
        one.lock().await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..4 {
            let other = open(&temp).await;
            waiting.push(filch::spawn(async move { other.lock_shared().await }));
        }
        breathe().await;
        // Reads the directory on such a thread; only then the lock goes.
        fs::canonicalize(&temp.0).await.unwrap();
        assert!(waiting.iter().all(|waits| !waits.is_finished()));
        one.unlock().unwrap();
        for waits in waiting {
            waits.await.unwrap().unwrap();
        }
    });
}
