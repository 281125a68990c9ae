//! Random programs do the same as with the standard library.

use crate::support::{PATIENCE, runtime};
use crate::world::{TempDir, number};
use filch::fs;
use filch::fs::OpenOptions;
use filch_testkit::Random;
use filch_testkit::limits::watchdog;
use std::fmt::Debug;
use std::io::{self, ErrorKind, SeekFrom};
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const NAMES: [&str; 14] = [
    "a",
    "b",
    "c",
    "a/x",
    "a/y",
    "b/x",
    "a/x/deep",
    "c/",
    ".",
    "a/../b",
    "missing/x",
    "loop",
    "link",
    "nul\0",
];

#[derive(Debug, Clone)]
enum Step {
    Write(PathBuf, Vec<u8>),
    Read(PathBuf),
    ReadToString(PathBuf),
    Open(PathBuf, u32, u32),
    Rename(PathBuf, PathBuf),
    RemoveFile(PathBuf),
    RemoveDir(PathBuf),
    RemoveDirAll(PathBuf),
    CreateDir(PathBuf),
    CreateDirAll(PathBuf),
    HardLink(PathBuf, PathBuf),
    Symlink(PathBuf, PathBuf),
    ReadLink(PathBuf),
    Canonicalize(PathBuf),
    Metadata(PathBuf),
    SymlinkMetadata(PathBuf),
    TryExists(PathBuf),
    SetPermissions(PathBuf, u32),
    Copy(PathBuf, PathBuf),
    ReadDir(PathBuf),
    SetLen(PathBuf, u64),
    Moves(PathBuf, bool, Vec<Move>),
}

/// What is done with an open file, with which number, and at which place, if it is done at a place.
type Move = (u32, i64, u64);

fn step(dice: &mut Random) -> Step {
    let path = |dice: &mut Random| match dice.below(24) {
        0 => PathBuf::from("n".repeat(300)),
        _ => PathBuf::from(NAMES[dice.below(NAMES.len())]),
    };
    match dice.below(26) {
        0 | 1 => {
            let len = dice.below(3) * dice.below(5000);
            Step::Write(path(dice), dice.bytes(len))
        }
        2 => Step::Read(path(dice)),
        3 => Step::ReadToString(path(dice)),
        4 => Step::Open(path(dice), dice.below(64) as u32, [0o600, 0o644, 0o400][dice.below(3)]),
        5 => Step::Rename(path(dice), path(dice)),
        6 => Step::RemoveFile(path(dice)),
        7 => Step::RemoveDir(path(dice)),
        8 => Step::RemoveDirAll(match path(dice) {
            // All would be gone.
            path if path == Path::new(".") => "a".into(),
            path => path,
        }),
        9 | 10 => Step::CreateDir(path(dice)),
        11 => Step::CreateDirAll(path(dice)),
        12 => Step::HardLink(path(dice), path(dice)),
        13 | 14 => Step::Symlink(path(dice), path(dice)),
        15 => Step::ReadLink(path(dice)),
        16 => Step::Canonicalize(path(dice)),
        17 => Step::Metadata(path(dice)),
        18 => Step::SymlinkMetadata(path(dice)),
        19 => Step::SetPermissions(path(dice), [0o600, 0o644, 0o755, 0o4755][dice.below(4)]),
        20 => Step::Copy(path(dice), path(dice)),
        21 => match dice.below(2) {
            0 => Step::ReadDir(path(dice)),
            _ => Step::TryExists(path(dice)),
        },
        22 => Step::SetLen(path(dice), dice.below(9000) as u64),
        _ => {
            let moves = (0..dice.below(12))
                .map(|_| (dice.below(6) as u32, dice.below(6000) as i64 - 500, place(dice)))
                .collect();
            Step::Moves(path(dice), dice.below(2) == 0, moves)
        }
    }
}

/// Mostly one where something is, or just behind that; now and then one where nothing can be.
fn place(dice: &mut Random) -> u64 {
    match dice.below(20) {
        0 => [1 << 62, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX][dice.below(5)],
        _ => dice.below(9000) as u64,
    }
}

/// What a step gave: a text, or an error's kind and number.
type Outcome = Result<String, (ErrorKind, Option<i32>)>;

fn seen<T: Debug>(result: io::Result<T>) -> Outcome {
    result.map(|value| format!("{value:?}")).map_err(|error| {
        // The standard library has no number for what it finds by itself.
        (error.kind(), number(&error))
    })
}

/// What filch itself finds wrong with a place has no number: the system is not asked whether it can be.
fn told_kind<T>(told: io::Result<T>) -> Result<T, ErrorKind> {
    told.map_err(|error| error.kind())
}

fn about(mode: u32, len: u64, nlink: u64) -> (String, u64, u64) {
    // How long a directory is, and how many names it has, is up to the file system.
    let is_dir = mode & libc::S_IFMT == libc::S_IFDIR;
    (format!("{mode:o}"), if is_dir { 0 } else { len }, if is_dir { 0 } else { nlink })
}

async fn ours(root: &Path, step: Step) -> Outcome {
    let at = |path: PathBuf| root.join(path);
    match step {
        Step::Write(path, bytes) => seen(fs::write(at(path), bytes).await),
        Step::Read(path) => seen(fs::read(at(path)).await),
        Step::ReadToString(path) => seen(fs::read_to_string(at(path)).await),
        Step::Open(path, bits, mode) => {
            let mut options = OpenOptions::new();
            options
                .read(bits & 1 != 0)
                .write(bits & 2 != 0)
                .append(bits & 4 != 0)
                .truncate(bits & 8 != 0)
                .create(bits & 16 != 0)
                .create_new(bits & 32 != 0)
                .mode(mode)
                .custom_flags(libc::O_NOFOLLOW);
            seen(options.open(at(path)).await.map(drop))
        }
        Step::Rename(from, to) => seen(fs::rename(at(from), at(to)).await),
        Step::RemoveFile(path) => seen(fs::remove_file(at(path)).await),
        Step::RemoveDir(path) => seen(fs::remove_dir(at(path)).await),
        Step::RemoveDirAll(path) => seen(fs::remove_dir_all(at(path)).await),
        Step::CreateDir(path) => seen(fs::create_dir(at(path)).await),
        Step::CreateDirAll(path) => seen(fs::create_dir_all(at(path)).await),
        Step::HardLink(from, to) => seen(fs::hard_link(at(from), at(to)).await),
        Step::Symlink(target, link) => seen(fs::symlink(target, at(link)).await),
        Step::ReadLink(path) => seen(fs::read_link(at(path)).await),
        Step::Canonicalize(path) => {
            let found = fs::canonicalize(at(path)).await;
            seen(found.map(|path| path.strip_prefix(root).map(Path::to_owned)))
        }
        Step::Metadata(path) => {
            seen(fs::metadata(at(path)).await.map(|it| about(it.mode(), it.len(), it.nlink())))
        }
        Step::SymlinkMetadata(path) => seen(
            fs::symlink_metadata(at(path)).await.map(|it| about(it.mode(), it.len(), it.nlink())),
        ),
        Step::TryExists(path) => seen(fs::try_exists(at(path)).await),
        Step::SetPermissions(path, mode) => {
            let permissions = fs::Permissions::from_mode(mode);
            seen(fs::set_permissions(at(path), permissions).await)
        }
        Step::Copy(from, to) => seen(fs::copy(at(from), at(to)).await),
        Step::ReadDir(path) => seen(our_entries(&at(path)).await),
        Step::SetLen(path, len) => seen(
            async {
                let file = OpenOptions::new().write(true).open(at(path)).await?;
                file.set_len(len).await?;
                file.sync_all().await?;
                Ok(file.metadata().await?.len())
            }
            .await,
        ),
        Step::Moves(path, append, moves) => seen(our_moves(&at(path), append, moves).await),
    }
}

async fn our_entries(path: &Path) -> io::Result<Vec<(PathBuf, bool, bool, bool)>> {
    let mut entries = fs::read_dir(path).await?;
    let mut all = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let kind = entry.file_type()?;
        let found = entry.metadata().await?;
        assert_eq!((found.file_type(), found.ino()), (kind, entry.ino()));
        assert_eq!(entry.path(), path.join(entry.file_name()));
        all.push((entry.file_name().into(), kind.is_dir(), kind.is_file(), kind.is_symlink()));
    }
    all.sort();
    Ok(all)
}

async fn our_moves(path: &Path, append: bool, moves: Vec<Move>) -> io::Result<Vec<String>> {
    let file = OpenOptions::new().read(true).write(true).append(append).open(path).await?;
    let mut told = Vec::new();
    for (what, number, place) in moves {
        let size = number.unsigned_abs() as usize;
        told.push(match what {
            0 => {
                let mut buf = vec![0; size];
                let read = file.read(&mut buf).await?;
                format!("{:?}", &buf[..read])
            }
            1 => format!("{}", file.write(&vec![b'w'; size]).await?),
            2 => format!("{:?}", told_kind(file.seek(SeekFrom::Current(number)).await)),
            3 => format!("{:?}", told_kind(file.seek(SeekFrom::End(-number)).await)),
            4 => {
                let (read, buf) = file.read_at(Vec::with_capacity(size), place).await;
                format!("{:?}", told_kind(read.map(|read| buf[..read].to_vec())))
            }
            _ => format!("{:?}", told_kind(file.write_at(vec![b'p'; size], place).await.0)),
        });
    }
    let copy = file.try_clone().await?;
    told.push(format!("{}", copy.seek(SeekFrom::Current(0)).await?));
    let mut theirs = copy.into_std().await?;
    told.push(format!("{}", io::Seek::stream_position(&mut theirs)?));
    Ok(told)
}

fn theirs(root: &Path, step: Step) -> Outcome {
    use std::fs;
    let at = |path: PathBuf| root.join(path);
    match step {
        Step::Write(path, bytes) => seen(fs::write(at(path), bytes)),
        Step::Read(path) => seen(fs::read(at(path))),
        Step::ReadToString(path) => seen(fs::read_to_string(at(path))),
        Step::Open(path, bits, mode) => seen(
            fs::OpenOptions::new()
                .read(bits & 1 != 0)
                .write(bits & 2 != 0)
                .append(bits & 4 != 0)
                .truncate(bits & 8 != 0)
                .create(bits & 16 != 0)
                .create_new(bits & 32 != 0)
                .mode(mode)
                .custom_flags(libc::O_NOFOLLOW)
                .open(at(path))
                .map(drop),
        ),
        Step::Rename(from, to) => seen(fs::rename(at(from), at(to))),
        Step::RemoveFile(path) => seen(fs::remove_file(at(path))),
        Step::RemoveDir(path) => seen(fs::remove_dir(at(path))),
        Step::RemoveDirAll(path) => seen(fs::remove_dir_all(at(path))),
        Step::CreateDir(path) => seen(fs::create_dir(at(path))),
        Step::CreateDirAll(path) => seen(fs::create_dir_all(at(path))),
        Step::HardLink(from, to) => seen(fs::hard_link(at(from), at(to))),
        Step::Symlink(target, link) => seen(std::os::unix::fs::symlink(target, at(link))),
        Step::ReadLink(path) => seen(fs::read_link(at(path))),
        Step::Canonicalize(path) => {
            let found = fs::canonicalize(at(path));
            seen(found.map(|path| path.strip_prefix(root).map(Path::to_owned)))
        }
        Step::Metadata(path) => {
            seen(fs::metadata(at(path)).map(|it| about(it.mode(), it.len(), it.nlink())))
        }
        Step::SymlinkMetadata(path) => {
            seen(fs::symlink_metadata(at(path)).map(|it| about(it.mode(), it.len(), it.nlink())))
        }
        Step::TryExists(path) => seen(fs::exists(at(path))),
        Step::SetPermissions(path, mode) => {
            seen(fs::set_permissions(at(path), fs::Permissions::from_mode(mode)))
        }
        Step::Copy(from, to) => seen(fs::copy(at(from), at(to))),
        Step::ReadDir(path) => seen(their_entries(&at(path))),
        Step::SetLen(path, len) => seen((|| {
            let file = fs::OpenOptions::new().write(true).open(at(path))?;
            file.set_len(len)?;
            Ok(file.metadata()?.len())
        })()),
        Step::Moves(path, append, moves) => seen(their_moves(&at(path), append, moves)),
    }
}

fn their_entries(path: &Path) -> io::Result<Vec<(PathBuf, bool, bool, bool)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        assert_ne!(entry.ino(), 0);
        all.push((entry.file_name().into(), kind.is_dir(), kind.is_file(), kind.is_symlink()));
    }
    all.sort();
    Ok(all)
}

fn their_moves(path: &Path, append: bool, moves: Vec<Move>) -> io::Result<Vec<String>> {
    use std::io::{Read, Seek, Write};
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.read(true).write(true).append(append).open(path)?;
    let mut told = Vec::new();
    for (what, number, place) in moves {
        let size = number.unsigned_abs() as usize;
        told.push(match what {
            0 => {
                let mut buf = vec![0; size];
                let read = file.read(&mut buf)?;
                format!("{:?}", &buf[..read])
            }
            1 => format!("{}", file.write(&vec![b'w'; size])?),
            2 => format!("{:?}", told_kind(file.seek(SeekFrom::Current(number)))),
            3 => format!("{:?}", told_kind(file.seek(SeekFrom::End(-number)))),
            4 => {
                let mut buf = vec![0; size];
                let read = file.read_at(&mut buf, place);
                format!("{:?}", told_kind(read.map(|read| buf[..read].to_vec())))
            }
            _ => format!("{:?}", told_kind(file.write_at(&vec![b'p'; size], place))),
        });
    }
    for _ in 0..2 {
        told.push(format!("{}", file.stream_position()?));
    }
    Ok(told)
}

/// All that is in a directory, and what it is.
fn tree(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("it is there") {
            let path = entry.expect("it is there").path();
            let found = std::fs::symlink_metadata(&path).expect("it is there");
            let about = about(found.mode(), found.len(), found.nlink());
            let what = if found.is_symlink() {
                format!("{:?}", std::fs::read_link(&path))
            } else if found.is_file() {
                format!("{:?}", std::fs::read(&path))
            } else {
                open.push(path.clone());
                String::new()
            };
            all.push(format!("{:?} {about:?} {what}", path.strip_prefix(root)));
        }
    }
    all.sort();
    all
}

/// Whether both names lead to one file, of which a copy is refused here, and emptied there (FS-13).
fn is_onto_itself(root: &Path, step: &Step) -> bool {
    let Step::Copy(from, to) = step else { return false };
    let found = [from, to].map(|path| std::fs::metadata(root.join(path)));
    matches!(found, [Ok(from), Ok(to)] if from.ino() == to.ino())
}

/// As the step is, but for who is not root: then a directory stays one that its owner may use.
fn stays_open(root: &Path, step: Step) -> Step {
    // SAFETY: no pointers.
    let is_root = unsafe { libc::geteuid() } == 0;
    match step {
        Step::SetPermissions(path, mode) if !is_root && root.join(&path).is_dir() => {
            Step::SetPermissions(path, mode | 0o700)
        }
        step => step,
    }
}

/// FS-1, FS-6, FS-11 to FS-13.
#[test]
fn random_programs_do_what_those_of_the_standard_library_do() {
    let _watchdog = watchdog(PATIENCE);
    let seed = Random::seed();
    println!("FILCH_SEED={seed}");
    let mut dice = Random::new(seed);
    for workers in [1, 2] {
        runtime(workers).block_on(async {
            for program in 0..12 {
                let dirs = [TempDir::new("ours"), TempDir::new("theirs")];
                // Some way down: where `a` is a link to the root, `a/../b` is outside of it, and must not be the
                // same for both.
                let roots = dirs.each_ref().map(|dir| dir.join("some/way/down"));
                for root in &roots {
                    std::fs::create_dir_all(root).unwrap();
                }
                for number in 0..150 {
                    let step = stays_open(&roots[1], step(&mut dice));
                    if is_onto_itself(&roots[1], &step) {
                        continue;
                    }
                    let told =
                        [ours(&roots[0], step.clone()).await, theirs(&roots[1], step.clone())];
                    assert_eq!(
                        told[0], told[1],
                        "seed {seed}, program {program}.{number}: {step:?}"
                    );
                    let left = roots.each_ref().map(|root| tree(root));
                    assert_eq!(
                        left[0], left[1],
                        "seed {seed}, program {program}.{number}: {step:?}"
                    );
                }
            }
        });
    }
}
