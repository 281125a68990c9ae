//! What is done with open files.

use crate::support::asked::asked_everywhere;
use crate::support::{TempFile, everywhere, pattern};
use filch::fs::{File, OpenOptions, TryLockError};
use filch_testkit::Cut;
use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Duration;

/// FS-6. What comes after a dropped change of length comes after it.
async fn resizes(cut: Cut) {
    let contents = pattern(0, 1000);
    let temp = TempFile::new("resized", &contents);
    let file = OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap();
    let file = Arc::new(file);
    let ours = file.clone();
    let done = cut
        .run(async move {
            ours.set_len(10).await?;
            ours.write(b"begins").await?;
            ours.set_len(2000).await?;
            ours.sync_data().await?;
            ours.sync_all().await?;
            ours.metadata().await
        })
        .await;
    if let Some(found) = done.transpose().expect("all of it works") {
        assert_eq!(found.len(), 2000);
    }
    file.seek(SeekFrom::Start(500)).await.unwrap();
    assert_eq!(file.write(b"here").await.unwrap(), 4);
    file.sync_all().await.unwrap();
    // Were the length set after that, it would not be there.
    let read = std::fs::read(&temp.0).unwrap();
    assert_eq!(&read[500..504], b"here");
    assert!([504, 1000, 2000].contains(&read.len()), "{}", read.len());
}

#[test]
fn what_comes_after_a_change_of_length_stays() {
    everywhere(10, resizes);
}

/// FS-5, FS-18.
async fn clones(cut: Cut) {
    let temp = TempFile::new("cloned", &pattern(0, 100));
    let file = File::open(&temp.0).await.unwrap();
    let done = cut
        .run(async move {
            file.read(&mut [0; 10]).await?;
            let clone = file.try_clone().await?;
            clone.read(&mut [0; 10]).await?;
            file.close().await?;
            let mut theirs = clone.into_std().await?;
            std::io::Seek::stream_position(&mut theirs)
        })
        .await;
    assert_eq!(done.transpose().expect("all of it works").unwrap_or(20), 20);
}

#[test]
fn clones_stay_open_nowhere() {
    everywhere(4, clones);
}

/// FS-15, FS-16. Nobody keeps a lock that was dropped, and nobody who waits for one is forgotten.
async fn locks(cut: Cut) {
    let temp = TempFile::new("locked", b"x");
    let theirs = std::fs::File::open(&temp.0).unwrap();
    theirs.lock().unwrap();
    let file = Arc::new(File::open(&temp.0).await.unwrap());
    let ours = file.clone();
    let holder = async {
        crate::support::breathe().await;
        filch::time::sleep(Duration::from_millis(2)).await;
        theirs.unlock().unwrap();
    };
    let done = filch::join!(
        cut.run(async move {
            ours.lock().await?;
            ours.lock_shared().await?;
            ours.unlock()
        }),
        holder
    );
    if done.0.transpose().expect("all of it works").is_none() {
        // It has it, is about to give it up, or was dropped while it had it.
        file.lock().await.unwrap();
        assert!(matches!(theirs.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)));
        file.unlock().unwrap();
    }
    for _ in 0..5_000 {
        match theirs.try_lock() {
            Ok(()) => return,
            Err(TryLockError::WouldBlock) => {
                filch::time::sleep(Duration::from_millis(1)).await;
            }
            Err(TryLockError::Error(error)) => panic!("{error}"),
        }
    }
    panic!("the lock is kept");
}

#[test]
fn a_dropped_lock_is_kept_by_nobody() {
    everywhere(2, locks);
}

/// FS-9. Large ones, which a thread of the kernel's makes.
async fn large_transfers(cut: Cut) {
    let contents = pattern(0, 3 << 20);
    let temp = TempFile::new("large", b"");
    let file = OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap();
    let (file, bytes) = (Arc::new(file), contents.clone());
    let ours = file.clone();
    let done = cut
        .run(async move {
            let (written, buf) = ours.write_at(bytes, 0).await;
            assert_eq!(written.expect("it writes"), buf.len());
            let (read, buf) = ours.read_at(buf, 0).await;
            assert_eq!(read.expect("it reads"), buf.len());
            buf
        })
        .await;
    if let Some(buf) = done {
        assert!(buf == contents);
    }
    // The file stays open until what is in flight is over.
    let path = temp.0.clone();
    drop(file);
    assert!(contents.starts_with(&std::fs::read(path).unwrap()));
}

#[test]
fn a_large_transfer_keeps_its_buffer() {
    everywhere(3, large_transfers);
}

/// C2, CANCEL-10.
#[test]
fn files_are_whole_wherever_it_is_asked_to_end() {
    asked_everywhere(10, resizes);
    asked_everywhere(4, clones);
    asked_everywhere(2, locks);
    asked_everywhere(3, large_transfers);
}
