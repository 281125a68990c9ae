//! What becomes of written bytes when who wrote them goes.

use crate::support::{PATIENCE, TempFile, pattern};
use filch::fs::{self, File, OpenOptions};
use filch::io::{BufWriter, Write};
use filch_testkit::child;
use filch_testkit::limits::watchdog;
use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Waker};

/// Where the child is to write.
const PATH: &str = "FILCH_TEST_OUTLIVES";

/// FS-1. They outlive the process, however it ends, and are seen by everybody at once.
#[test]
fn what_is_written_outlives_the_process() {
    let _watchdog = watchdog(PATIENCE);
    let temp = TempFile::new("outlives", b"");
    // The child is told by the parent, and has a file of its own that it leaves alone.
    let told = std::env::var_os(PATH).map(std::path::PathBuf::from);
    if told.is_none() {
        // SAFETY: only the standard library reads the environment here, under its lock.
        unsafe { std::env::set_var(PATH, &temp.0) };
    }
    let output = child::try_run("written::what_is_written_outlives_the_process", || {
        let path = told.expect("the parent says it");
        filch::run(async {
            let file = File::create(&path).await.unwrap();
            file.write(b"written").await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"written");
            // SAFETY: no pointers. Nothing is cleaned up.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        });
    });
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(signal, Some(libc::SIGKILL), "{}", child::text(&output));
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"written");
}

/// FS-2, FS-3. A write that has begun runs to its end, also if both it and the file are dropped.
#[filch::test]
async fn a_write_that_has_begun_ends() {
    let contents = pattern(0, 200_000);
    let temp = TempFile::new("begun", b"");
    let file = OpenOptions::new().write(true).open(&temp.0).await.unwrap();
    {
        let mut write = pin!(file.write(&contents));
        assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(file);
    while std::fs::read(&temp.0).unwrap() != contents {
        filch::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    // Kept, it can be asked how much it was; and who closes it waits.
    let file = OpenOptions::new().write(true).open(&temp.0).await.unwrap();
    {
        let mut write = pin!(file.write(b"other bytes"));
        assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(file.settle().await.unwrap(), 11);
    {
        let mut write = pin!(file.write(b", and more"));
        assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    file.close().await.unwrap();
    assert!(std::fs::read(&temp.0).unwrap().starts_with(b"other bytes, and more"));
}

/// FS-2. If it fails, the next write, sync or close says so, once.
#[filch::test]
async fn a_dropped_write_that_fails_is_told() {
    let temp = TempFile::new("fails", b"x");
    for how in ["write", "sync", "close", "clone"] {
        // Open for reading alone.
        let file = File::open(&temp.0).await.unwrap();
        {
            let mut write = pin!(file.write(b"never"));
            assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let error = match how {
            "write" => file.write(b"more").await.unwrap_err(),
            "sync" => {
                let error = file.sync_all().await.unwrap_err();
                file.sync_all().await.expect("told once");
                error
            }
            "clone" => file.try_clone().await.unwrap_err(),
            _ => file.close().await.unwrap_err(),
        };
        assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{how}");
    }
}

/// FS-4. What a writer keeps back goes with it; what it has handed on does not.
#[filch::test]
async fn what_a_writer_keeps_back_is_not_written() {
    let temp = TempFile::new("kept", b"");
    let mut writer = BufWriter::with_capacity(16, File::create(&temp.0).await.unwrap());
    writer.write_all(b"handed on").await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"handed on");
    writer.write_all(b" kept").await.unwrap();
    drop(writer);
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"handed on");
    let mut writer = BufWriter::new(OpenOptions::new().append(true).open(&temp.0).await.unwrap());
    writer.write_all(b", and all").await.unwrap();
    let file = writer.into_inner().await.unwrap();
    file.sync_all().await.unwrap();
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"handed on, and all");
}

/// FS-7. Who reads a file that is replaced by renaming finds the one or the other.
#[filch::test(workers = 2)]
async fn renaming_replaces_all_at_once() {
    let temp = TempFile::new("replaced", &[0; 50_000]);
    let new = temp.0.with_extension("new");
    let reader = {
        let path = temp.0.clone();
        filch::spawn(async move {
            for _ in 0..300 {
                let read = fs::read(&path).await.unwrap();
                assert_eq!(read.len(), 50_000);
                assert!(read.iter().all(|&byte| byte == read[0]));
            }
        })
    };
    let mut round = 1;
    while !reader.is_finished() {
        fs::write(&new, vec![round; 50_000]).await.unwrap();
        fs::rename(&new, &temp.0).await.unwrap();
        round = round.wrapping_add(1);
    }
    reader.await.unwrap();
    assert_eq!(fs::remove_file(&new).await.unwrap_err().kind(), ErrorKind::NotFound);
}
