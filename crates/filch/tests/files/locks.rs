//! Locks on whole files.

use crate::support::{TempFile, breathe};
use filch::fs::{File, OpenOptions, TryLockError};
use std::pin::pin;
use std::task::{Context, Waker};

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
