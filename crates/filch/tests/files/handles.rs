//! Open files: locks aside, what else one does with them.

use crate::support::{PATIENCE, TempFile as Kept, file, pattern, runtime};
use crate::world::TempDir;
use filch::fs::{self, AlignedBuf, File, OpenOptions, TempFile};
use filch::io::{BufRead, BufReader, BufWriter, Read, Write};
use filch_testkit::limits::watchdog;
use filch_testkit::skip;
use std::io::{ErrorKind, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

/// FS-18.
#[filch::test]
async fn a_clone_has_a_cursor_of_its_own() {
    let temp = Kept::new("clone", b"0123456789");
    let one = OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap();
    let mut buf = [0; 3];
    one.read(&mut buf).await.unwrap();
    let other = one.try_clone().await.unwrap();
    assert_ne!(one.as_raw_fd(), other.as_raw_fd());
    one.read(&mut buf).await.unwrap();
    assert_eq!(&buf, b"345");
    other.read(&mut buf).await.unwrap();
    assert_eq!(&buf, b"345", "from where the first one was");
    one.close().await.unwrap();
    other.write(b"x").await.unwrap();
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"012345x789");
    // As one of the standard library it goes on there.
    let mut theirs = other.into_std().await.unwrap();
    std::io::Read::read(&mut theirs, &mut buf).unwrap();
    assert_eq!(&buf, b"789");
}

/// FS-18. What was read from a pipe, and taken by nobody, is not lost.
#[filch::test]
async fn a_pipe_with_bytes_left_comes_back() {
    let (ours, mut theirs) = std::io::pipe().unwrap();
    let pipe = File::from_std(std::os::fd::OwnedFd::from(ours).into()).unwrap();
    {
        // A read that begins, and is dropped when its byte has come.
        let mut buf = [0; 8];
        let read = pipe.read(&mut buf);
        let mut read = std::pin::pin!(read);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(read.as_mut().poll(&mut cx).is_pending());
        std::io::Write::write_all(&mut theirs, b"left").unwrap();
    }
    let (pipe, came) = match pipe.into_std().await {
        Err(refused) => {
            assert_eq!(refused.error().kind(), ErrorKind::ResourceBusy);
            (refused.into_inner(), true)
        }
        // The read was given up before it had begun: the bytes are in the pipe.
        Ok(file) => (File::from_std(file).unwrap(), false),
    };
    let mut buf = [0; 8];
    assert_eq!(pipe.read(&mut buf).await.unwrap(), 4);
    assert_eq!(&buf[..4], b"left", "came before: {came}");
    let mut theirs_again = pipe.into_std().await.expect("nothing is left");
    drop(theirs);
    assert_eq!(std::io::Read::read(&mut theirs_again, &mut buf).unwrap(), 0);
}

/// FS-6.
#[filch::test]
async fn length_and_permissions_are_set() {
    let temp = Kept::new("length", b"0123456789");
    let file = OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap();
    file.seek(SeekFrom::Start(8)).await.unwrap();
    file.set_len(4).await.unwrap();
    assert_eq!(file.read(&mut [0; 4]).await.unwrap(), 0, "the cursor is behind the end");
    file.write(b"x").await.unwrap();
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"0123\0\0\0\0x");
    file.set_permissions(fs::Permissions::from_mode(0o640)).await.unwrap();
    let found = file.metadata().await.unwrap();
    assert_eq!((found.len(), found.mode() & 0o7777, found.nlink()), (9, 0o640, 1));
    assert_eq!(found.permissions().mode(), found.mode());
    assert!(found.created().is_none_or(|created| created <= found.changed()));
    for wrong in [1 << 63, u64::MAX] {
        assert_eq!(file.set_len(wrong).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let reading = File::open(&temp.0).await.unwrap();
    assert_eq!(reading.set_len(0).await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    let (pipe, _other) = std::io::pipe().unwrap();
    let pipe = File::from_std(std::os::fd::OwnedFd::from(pipe).into()).unwrap();
    assert_eq!(pipe.set_len(0).await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

/// FS-17. By its name while there is a handle, and by none afterwards; as large ones.
#[filch::test]
async fn temporary_files_go() {
    let root = TempDir::new("temporary");
    let temp = TempFile::new_in(&*root).await.unwrap();
    temp.write(b"for a while").await.unwrap();
    assert_eq!(fs::read(temp.path()).await.unwrap(), b"for a while");
    let found = temp.metadata().await.unwrap();
    assert_eq!(found.mode() & 0o7777, 0o600);
    temp.set_len(64 << 20).await.unwrap();
    drop(temp);
    assert_eq!(std::fs::read_dir(&*root).unwrap().count(), 0);

    let temp = TempFile::new_in(&*root).await.unwrap();
    temp.write(b"stays").await.unwrap();
    let file = temp.persist(root.join("kept")).await.unwrap();
    file.write(b", open").await.unwrap();
    drop(file);
    assert_eq!(std::fs::read(root.join("kept")).unwrap(), b"stays, open");
    let (file, path) = TempFile::new_in(&*root).await.unwrap().keep();
    drop(file);
    assert!(path.exists());
    std::fs::remove_file(path).unwrap();
    let refused = TempFile::new_in(&*root).await.unwrap().persist(root.join("no/where")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(std::fs::read_dir(&*root).unwrap().count(), 1, "the one that was kept");

    for directory in [&*root, std::path::Path::new("/dev/shm"), std::path::Path::new("/proc")] {
        let temp = match fs::tempfile_in(directory).await {
            Ok(temp) => temp,
            Err(error) => {
                assert_ne!(directory, &*root, "{error}");
                assert!(error.to_string().contains(&directory.display().to_string()), "{error}");
                continue;
            }
        };
        temp.write(b"unnamed").await.unwrap();
        temp.seek(SeekFrom::Start(0)).await.unwrap();
        let mut text = String::new();
        (&temp).read_to_string(&mut text).await.unwrap();
        assert_eq!((text.as_str(), temp.metadata().await.unwrap().nlink()), ("unnamed", 0));
    }
    assert_eq!(std::fs::read_dir(&*root).unwrap().count(), 1);
    let file = fs::tempfile().await.unwrap();
    assert_eq!(file.metadata().await.unwrap().len(), 0);
}

/// FS-19.
#[test]
fn around_the_page_cache_with_aligned_buffers() {
    let _watchdog = watchdog(PATIENCE);
    // Not watched: a device may write a whole block where the file ends within it.
    let runtime = filch::Runtime::builder().workers(1).build().unwrap();
    runtime.block_on(async {
        // Not in memory, if there is a choice.
        let here = std::env::current_dir().unwrap().join("target");
        let places =
            [std::env::var_os("CARGO_TARGET_DIR").map_or(here, Into::into), "/var/tmp".into()];
        let mut reasons = String::new();
        for place in places {
            let Ok(temp) = TempFile::new_in(&place).await else { continue };
            let mut options = OpenOptions::new();
            options.read(true).write(true).direct(true);
            let direct = match options.open(temp.path()).await {
                Ok(direct) => direct,
                Err(error) => {
                    reasons.push_str(&format!(" ({}: {error})", place.display()));
                    continue;
                }
            };
            let alignment = direct.metadata().await.unwrap().direct_alignment();
            if let Some((memory, offset)) = alignment {
                assert!(memory <= 4096 && offset <= 4096, "{memory}, {offset}");
            }
            let contents = pattern(0, 4 * 4096);
            let buf = AlignedBuf::copy_of(&contents);
            let (written, buf) = direct.write_at(buf, 8192).await;
            assert_eq!(written.unwrap(), contents.len());
            assert_eq!(&buf[..], &contents[..]);
            let (read, buf) = direct.read_at(AlignedBuf::with_capacity(4096), 8192 + 4096).await;
            assert_eq!(read.unwrap(), 4096);
            assert_eq!(&buf[..], &contents[4096..8192]);
            assert!(std::fs::read(temp.path()).unwrap()[8192..] == contents);
            // At the end there is less than a block.
            temp.set_len(8192 + 100).await.unwrap();
            let (read, buf) = direct.read_at(buf, 8192).await;
            assert_eq!(read.unwrap(), 100);
            assert_eq!(&buf[..100], &contents[..100]);
            return;
        }
        skip(format_args!("no file system with O_DIRECT{reasons}"));
    });
}

/// Lines over a file, and small writes as large ones.
#[filch::test]
async fn files_are_read_and_written_through_buffers() {
    let temp = Kept::new("buffered", b"");
    let mut writer = BufWriter::new(File::create(&temp.0).await.unwrap());
    for number in 0..5000 {
        writer.write_all(format!("line {number}\n").as_bytes()).await.unwrap();
    }
    writer.finish().await.unwrap();
    let mut lines = BufReader::new(File::open(&temp.0).await.unwrap()).lines();
    let mut number = 0;
    while let Some(line) = lines.next_line().await.unwrap() {
        assert_eq!(line, format!("line {number}"));
        number += 1;
    }
    assert_eq!(number, 5000);
}

/// FS-8. A file that is made shorter while it is read ends there.
#[filch::test]
async fn a_file_that_shrinks_ends_early() {
    let contents = pattern(0, 300_000);
    let temp = Kept::new("shrinks", &contents);
    let shrinking = std::fs::OpenOptions::new().write(true).open(&temp.0).unwrap();
    let mut reader = BufReader::with_capacity(10_000, File::open(&temp.0).await.unwrap());
    let mut first = vec![0; 25_000];
    reader.read_exact(&mut first).await.unwrap();
    shrinking.set_len(27_000).unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.unwrap();
    // What had been read ahead stays.
    assert!((2_000..100_000).contains(&rest.len()), "{}", rest.len());
    assert!(contents[..25_000] == first && contents[25_000..].starts_with(&rest));
    // A read at a place gives what is there, and nothing behind the end.
    let file = File::open(&temp.0).await.unwrap();
    let (read, buf) = file.read_at(Vec::with_capacity(5_000), 26_000).await;
    assert_eq!((read.unwrap(), buf.len()), (1_000, 1_000));
    assert_eq!(file.read_at(buf, 27_000).await.0.unwrap(), 0);
    shrinking.set_len(0).unwrap();
    assert_eq!(fs::read(&temp.0).await.unwrap(), b"");
}

/// FS-8. Of what goes while it is read the kernel may give zeroes, and nothing else.
#[test]
fn a_file_that_changes_while_it_is_read_whole() {
    let _watchdog = watchdog(PATIENCE);
    let contents = pattern(0, 3 << 20);
    let temp = Kept::new("changes", &contents);
    runtime(2).block_on(async {
        for round in 0..20 {
            let shorter = (round * 150_000) as u64;
            let reading = filch::spawn(fs::read(temp.0.clone()));
            let changing = std::fs::OpenOptions::new().write(true).open(&temp.0).unwrap();
            changing.set_len(shorter).unwrap();
            let read = reading.await.unwrap().unwrap();
            let is_so = |(read, was): (&u8, &u8)| read == was || *read == 0;
            assert!(read.iter().zip(&contents).all(is_so), "{round}: {}", read.len());
            assert!((shorter..=contents.len() as u64).contains(&(read.len() as u64)));
            std::fs::write(&temp.0, &contents).unwrap();
        }
    });
}

/// A descriptor of somebody else's, with a cursor in the midst.
#[filch::test]
async fn a_file_is_taken_over_where_it_is() {
    let mut theirs = std::fs::File::from(file("0123456789"));
    std::io::Seek::seek(&mut theirs, SeekFrom::Start(4)).unwrap();
    let ours = File::from_std(theirs).unwrap();
    let mut buf = [0; 2];
    ours.read(&mut buf).await.unwrap();
    assert_eq!(&buf, b"45");
    let mut theirs = ours.into_std().await.unwrap();
    assert_eq!(std::io::Seek::stream_position(&mut theirs).unwrap(), 6);
}
