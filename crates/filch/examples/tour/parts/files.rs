//! Files: written, read, renamed, copied, listed, locked and removed.

use super::Outcome;
use super::bytes::{receive, send};
use super::visit::{Visit, ensure};
use filch::fs::{self, File, OpenOptions, TryLockError};
use std::io::SeekFrom;
use std::path::Path;

pub(super) async fn visit(mut visit: Visit) -> Outcome {
    let Visit { dice, path: folder, .. } = &mut visit;
    fs::create_dir(&*folder).await?;
    let path = folder.join("file");
    let len = 1 + dice.below(100_000);
    let all = dice.bytes(len);
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).await?;
    send(&file, &all, dice).await?;
    if dice.below(4) == 0 {
        insist!(dice, file.sync_data())?;
    }
    ensure(insist!(dice, fs::read(&path))? == all, "what was written is not there")?;

    file.seek(SeekFrom::Start(0)).await?;
    ensure(receive(&file, dice).await? == all, "what was read is not what was written")?;
    names(folder, &path, &all).await?;

    file.lock().await?;
    let other = File::open(folder.join("renamed")).await?;
    let refused = matches!(other.try_lock(), Err(TryLockError::WouldBlock));
    ensure(refused, "a lock that another has was given")?;
    let waiting = briefly!(dice, 0, other.lock_shared());
    ensure(waiting.is_none(), "a lock was shared that is not")?;
    file.unlock()?;
    insist!(dice, other.lock_shared())?;
    file.close().await?;
    fs::remove_dir_all(&*folder).await?;
    ensure(!fs::try_exists(&*folder).await?, "what was removed is there")
}

/// Of names that are made and changed each is there, and no other.
async fn names(folder: &Path, path: &Path, all: &[u8]) -> Outcome {
    fs::rename(path, folder.join("renamed")).await?;
    let copied = fs::copy(folder.join("renamed"), folder.join("copy")).await?;
    ensure(copied == all.len() as u64, "a copy is too short")?;
    fs::hard_link(folder.join("copy"), folder.join("hard")).await?;
    fs::symlink("copy", folder.join("soft")).await?;
    let mut names = Vec::new();
    let mut entries = fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        names.push(entry.file_name());
    }
    names.sort();
    ensure(names == ["copy", "hard", "renamed", "soft"], "a name is wrong")?;
    ensure(fs::metadata(folder.join("hard")).await?.nlink() == 2, "a link is missing")?;
    ensure(fs::read(folder.join("soft")).await? == all, "a copy is wrong")
}
