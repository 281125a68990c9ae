//! Directories and file systems for a test alone.

use crate::support::temp;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;

/// A directory that goes with all that is in it.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> Self {
        Self::at(temp(name))
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        std::fs::create_dir(&path).expect("directories can be made there");
        Self(path)
    }
}

impl Deref for TempDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let path = path_of(&self.0);
        // SAFETY: the text ends with a NUL. If nothing is mounted there this fails, which is as good.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn path_of(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL")
}

/// The system's number of an error.
pub(crate) fn number(error: &io::Error) -> Option<i32> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<filch::io::Failed>());
    inner.map_or(error.raw_os_error(), |failed| failed.system().raw_os_error())
}

/// Mounts a small file system in memory on a directory, which only this thread, and those that it starts, see. For
/// a process of its own. Says why if it is not allowed.
pub(crate) fn mount_small(at: &Path, bytes: usize) -> Result<(), String> {
    hide_mounts()?;
    mount_memory(at, &format!("size={bytes}"))
}

/// As [`mount_small`], with a quota: for each user but the superuser; or, where the kernel's file systems in memory have
/// none, for all that is in one of another kind.
pub(crate) fn mount_quota(at: &Path, bytes: usize, quota: usize) -> Result<(), String> {
    hide_mounts()?;
    let options = format!("size={bytes},usrquota,usrquota_block_hardlimit={quota}");
    mount_memory(at, &options).or_else(|memory| {
        mount_btrfs(at, bytes, quota).map_err(|btrfs| format!("{memory}; {btrfs}"))
    })
}

fn mount_memory(at: &Path, options: &str) -> Result<(), String> {
    let options = CString::new(options).expect("no NUL");
    mount(c"tmpfs", at, c"tmpfs", 0, &options)
}

fn mount_btrfs(at: &Path, bytes: usize, quota: usize) -> Result<(), String> {
    // Its name goes here already: the device keeps the file.
    let (directory, error) = (TempDir::new("image"), |error: io::Error| error.to_string());
    let path = directory.join("blocks");
    let image = File::options().read(true).write(true).create_new(true).open(&path);
    let image = image.and_then(|image| image.set_len(bytes as u64).map(|()| image));
    let image = image.map_err(error)?;
    run("mkfs.btrfs", &["--quiet".as_ref(), path.as_os_str()])?;
    let device = Loop::on(&image).map_err(|error| format!("no loop device: {error}"))?;
    mount(&path_of(device.path()), at, c"btrfs", 0, c"")?;
    // Released here, the device ends with the mount, which ends with the process.
    drop(device);
    run("btrfs", &["quota".as_ref(), "enable".as_ref(), at.as_os_str()])?;
    run("btrfs", &["quota".as_ref(), "rescan".as_ref(), "-w".as_ref(), at.as_os_str()])?;
    let most = quota.to_string();
    let limit = ["qgroup", "limit", &most, "0/5"].map(OsStr::new);
    run("btrfs", &[&limit[..], &[at.as_os_str()]].concat())
}

/// Runs a program, which has to be content.
fn run(program: &str, arguments: &[&OsStr]) -> Result<(), String> {
    // (Where they are is in the path of the superuser, as a rule.)
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}

/// Has it read only.
pub(crate) fn make_read_only(at: &Path) -> Result<(), String> {
    mount(c"none", at, c"", libc::MS_REMOUNT | libc::MS_RDONLY, c"")
}

/// What is mounted from now on only this thread, and those that it starts, see.
fn hide_mounts() -> Result<(), String> {
    // SAFETY: no pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(format!("unshare: {}", io::Error::last_os_error()));
    }
    mount(c"none", Path::new("/"), c"", libc::MS_REC | libc::MS_PRIVATE, c"")
}

fn mount(what: &CStr, at: &Path, kind: &CStr, flags: u64, options: &CStr) -> Result<(), String> {
    let path = path_of(at);
    let options = if options.is_empty() { ptr::null() } else { options.as_ptr().cast() };
    // SAFETY: each text ends with a NUL.
    match unsafe { libc::mount(what.as_ptr(), path.as_ptr(), kind.as_ptr(), flags, options) } {
        0 => Ok(()),
        _ => Err(format!("mount on {}: {}", at.display(), io::Error::last_os_error())),
    }
}

const CONFIGURE: libc::c_ulong = 0x4c00;
const CLEAR: libc::c_ulong = 0x4c01;
const GET_FREE: libc::c_ulong = 0x4c82;

/// A block device that keeps its blocks in a file, until this is dropped and nobody has it open or mounted.
pub(crate) struct Loop {
    device: File,
    path: PathBuf,
}

impl Loop {
    pub(crate) fn on(file: &File) -> io::Result<Self> {
        let control = File::options().read(true).write(true).open("/dev/loop-control")?;
        loop {
            // SAFETY: no pointers.
            let free = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE) };
            if free < 0 {
                return Err(io::Error::last_os_error());
            }
            let path = PathBuf::from(format!("/dev/loop{free}"));
            let device = File::options().read(true).write(true).open(&path)?;
            // SAFETY: no pointers.
            if unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE, file.as_raw_fd()) } == 0 {
                return Ok(Self { device, path });
            }
            let error = io::Error::last_os_error();
            // Somebody else was faster.
            if error.raw_os_error() != Some(libc::EBUSY) {
                return Err(error);
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // SAFETY: no pointers.
        unsafe { libc::ioctl(self.device.as_raw_fd(), CLEAR) };
    }
}
