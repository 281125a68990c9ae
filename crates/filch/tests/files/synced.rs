//! What was written, and a disk that fails.

use crate::support::{PATIENCE, TempFile, runtime};
use crate::world::{Loop, TempDir, mount_small};
use filch::fs::{File, OpenOptions};
use filch_testkit::limits::watchdog;
use filch_testkit::{child, skip};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::task::{Context, Waker};

/// Has the device fail: there is no room behind it for what is written.
async fn write_too_much(file: &File) {
    let (written, _) = file.write_at(vec![7; 8 << 20], 0).await;
    assert_eq!(written.expect("the page cache takes it"), 8 << 20);
}

/// FS-5. The device's file has no room: the system says so once, filch each time.
#[test]
fn a_failed_sync_is_told_every_time() {
    let _watchdog = watchdog(PATIENCE);
    child::run("synced::a_failed_sync_is_told_every_time", || {
        let root = TempDir::new("sync");
        if let Err(reason) = mount_small(&root, 1 << 20) {
            return skip(reason);
        }
        let mut options = fs::File::options();
        let behind =
            options.read(true).write(true).create_new(true).open(root.join("blocks")).unwrap();
        behind.set_len(16 << 20).unwrap();
        let device = match Loop::on(&behind) {
            Ok(device) => device,
            Err(error) => return skip(format_args!("no loop device: {error}")),
        };
        let opened = || async {
            OpenOptions::new().read(true).write(true).open(device.path()).await.unwrap()
        };
        // Not watched: what is read and written is large.
        let runtime = filch::Runtime::builder().workers(2).build().unwrap();
        runtime.block_on(async {
            let file = opened().await;
            file.sync_all().await.expect("nothing was written");
            write_too_much(&file).await;
            let first = file.sync_data().await.expect_err("there is no room");
            let number = first.raw_os_error().expect("the system's");
            // The system has told it, and has nothing more to say.
            // SAFETY: no pointers.
            assert_eq!(unsafe { libc::fsync(file.as_raw_fd()) }, 0, "the system tells it once");
            for _ in 0..3 {
                assert_eq!(file.sync_all().await.unwrap_err().raw_os_error(), Some(number));
                assert_eq!(file.sync_data().await.unwrap_err().raw_os_error(), Some(number));
            }
            let clone = file.try_clone().await.unwrap();
            assert_eq!(clone.sync_all().await.unwrap_err().raw_os_error(), Some(number));
            drop((file, clone));
            // Another one begins anew.
            opened().await.sync_all().await.expect("nothing was written by this one");

            // Of a sync that was dropped the next one tells, though the system told the first.
            let file = opened().await;
            write_too_much(&file).await;
            {
                let mut dropped = pin!(file.sync_all());
                let mut cx = Context::from_waker(Waker::noop());
                assert!(dropped.as_mut().poll(&mut cx).is_pending());
            }
            for _ in 0..2 {
                assert_eq!(file.sync_all().await.unwrap_err().raw_os_error(), Some(number));
            }
            drop(file);

            // Of several at a time each tells.
            let file = opened().await;
            let clone = file.try_clone().await.unwrap();
            for file in [&file, &clone] {
                write_too_much(file).await;
            }
            let (one, two, three, four) = filch::join!(
                file.sync_all(),
                file.sync_data(),
                clone.sync_data(),
                clone.sync_all()
            );
            for synced in [one, two, three, four] {
                assert_eq!(synced.unwrap_err().raw_os_error(), Some(number));
            }
        });
    });
}

/// FS-5. What cannot be synced has not failed: each sync asks anew.
#[test]
fn what_cannot_be_synced_is_no_failure() {
    let _watchdog = watchdog(PATIENCE);
    let temp = TempFile::new("syncs", b"x");
    runtime(2).block_on(async {
        let (pipe, _other) = io::pipe().unwrap();
        let pipe = File::from_std(std::os::fd::OwnedFd::from(pipe).into()).unwrap();
        for _ in 0..2 {
            assert_eq!(pipe.sync_all().await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        }
        let file = std::sync::Arc::new(OpenOptions::new().write(true).open(&temp.0).await.unwrap());
        let mut syncs = Vec::new();
        for number in 0..32 {
            let file = file.clone();
            syncs.push(filch::spawn(async move {
                file.write(b"x").await.unwrap();
                match number % 2 {
                    0 => file.sync_all().await,
                    _ => file.sync_data().await,
                }
            }));
        }
        for sync in syncs {
            sync.await.unwrap().unwrap();
        }
    });
}
