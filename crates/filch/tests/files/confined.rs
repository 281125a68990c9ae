//! Files of a program that has confined itself: it may not ask what its files are.

use crate::support::confined::refuse;
use crate::support::{PATIENCE, pattern, runtime};
use crate::world::TempDir;
use filch::fs::{self, File, OpenOptions};
use filch::time::timeout;
use filch_testkit::limits::watchdog;
use filch_testkit::{child, skip};
use std::io::{self, SeekFrom};
use std::os::fd::{FromRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

/// FS-8. A file has its cursor all the same, and a pipe its two directions.
#[test]
fn a_file_has_a_cursor_though_nobody_may_ask_what_it_is() {
    let _watchdog = watchdog(PATIENCE);
    child::run("confined::a_file_has_a_cursor_though_nobody_may_ask_what_it_is", || {
        let root = TempDir::new("confined");
        let (path, contents) = (root.join("file"), pattern(0, 100_000));
        std::fs::write(&path, &contents).unwrap();
        // A thread alone is refused it: removing the directory takes that call.
        let confined = || {
            if let Err(error) = refuse(libc::SYS_statx, libc::EPERM) {
                return skip(format_args!("no filter of system calls: {error}"));
            }
            runtime(1).block_on(async {
                let file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
                assert_eq!(file.seek(SeekFrom::Start(300)).await.unwrap(), 300);
                let mut piece = [0; 100];
                assert_eq!(file.read(&mut piece).await.unwrap(), 100);
                assert_eq!(piece, contents[300..400]);
                assert_eq!(file.write(b"here").await.unwrap(), 4);
                assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 404);
                let read = fs::read(&path).await.unwrap();
                assert!(read[..400] == contents[..400] && read[404..] == contents[404..]);
                assert_eq!(&read[400..404], b"here");
                file.close().await.unwrap();

                let (from, to) = io::pipe().unwrap();
                let from = File::from_std(OwnedFd::from(from).into()).unwrap();
                let to = File::from_std(OwnedFd::from(to).into()).unwrap();
                let waits = timeout(Duration::from_millis(5), from.read(&mut piece)).await;
                assert!(waits.is_err(), "nothing was written");
                assert_eq!(to.write(b"through").await.unwrap(), 7);
                assert_eq!(from.read(&mut piece).await.unwrap(), 7);
                assert_eq!(&piece[..7], b"through");
            });
        };
        thread::scope(|scope| scope.spawn(confined).join().unwrap());
    });
}

/// FS-8. Not all that takes a seek has places: what a dropped read has taken would be gone.
#[test]
fn what_only_takes_a_seek_has_no_cursor() {
    let _watchdog = watchdog(PATIENCE);
    child::run("confined::what_only_takes_a_seek_has_no_cursor", || {
        if let Err(error) = refuse(libc::SYS_statx, libc::EPERM) {
            return skip(format_args!("no filter of system calls: {error}"));
        }
        // SAFETY: no pointers; it is new and ours.
        let event = unsafe { OwnedFd::from_raw_fd(libc::eventfd(7, 0)) };
        runtime(1).block_on(async {
            let event = File::from_std(event.into()).unwrap();
            let error = event.seek(SeekFrom::Current(0)).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ESPIPE));
            let mut sum = [0; 8];
            assert_eq!(event.read(&mut sum).await.unwrap(), 8);
            assert_eq!(u64::from_ne_bytes(sum), 7);
        });
    });
}
