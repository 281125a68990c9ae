//! A process that was started.

use super::{ChildStderr, ChildStdin, ChildStdout, pidfd, reaper};
use crate::home::Home;
use crate::io::{Interest, PipeReader, PipeWriter, failed, ready};
use filch_uring::SharedFd;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::panic::Location;
use std::process::{self, ExitStatus, Output};
use std::sync::OnceLock;
use std::{fmt, io, ptr};

/// A process that was started: by [`Command::spawn`](super::Command::spawn).
///
/// # Dropping
///
/// The pipes are closed. The process goes on, unless it was started with
/// [`kill_on_drop`](super::Command::kill_on_drop); either way it leaves nothing behind when it ends (see [the
/// module](super#nobody-stays-behind)).
#[doc(alias = "asyncio.subprocess.Process")]
pub struct Child {
    /// What it reads, if that is a pipe. Dropped, the child finds the end.
    pub stdin: Option<ChildStdin>,
    /// What it writes, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// What it writes about errors, if that is a pipe.
    pub stderr: Option<ChildStderr>,
    process: Process,
}

impl Child {
    pub(super) fn new(mut child: process::Child, home: Home, kill_on_drop: bool) -> Self {
        let reader = |fd| PipeReader::new(fd, home.clone());
        let stdin = child.stdin.take().map(|pipe| PipeWriter::new(pipe.into(), home.clone()));
        let stdout = child.stdout.take().map(|pipe| reader(pipe.into()));
        let stderr = child.stderr.take().map(|pipe| reader(pipe.into()));
        let pidfd = OnceLock::new();
        let id = child.id();
        let process =
            Process { child: Some(child), id, pidfd, state: State::Runs, home, kill_on_drop };
        // Where another thread was faster to take the last descriptor, `wait` tries again.
        let _ = process.pidfd();
        Self { stdin, stdout, stderr, process }
    }

    /// The number of the process. When its end was waited for, the system may give it to another.
    #[doc(alias = "pid")]
    pub fn id(&self) -> u32 {
        self.process.id
    }

    /// Waits for the end of the process, and says how it ended. Its input is closed first, if it is still in
    /// [`stdin`](Self::stdin): a child that reads to the end would never end otherwise. Take it out to keep it.
    ///
    /// The answer is kept: to wait again gives it again.
    ///
    /// # Errors
    ///
    /// The system's; `ECHILD` if somebody else has waited for it, or `SIGCHLD` is ignored. Without descriptors left
    /// it may be that the first wait needs one: wait again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: wait again. But the input stays closed.
    ///
    /// # Deadlocks
    ///
    /// A child waits while its output is full that nobody reads: 64 KiB as a rule. See
    /// [`wait_with_output`](Self::wait_with_output).
    #[track_caller]
    pub fn wait(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + Send {
        let at = Location::caller();
        async move {
            drop(self.stdin.take());
            self.process.wait(at).await
        }
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Waits for the end of the process, and meanwhile reads all that it writes to pipes; both at a time, so that
    /// neither waits for the other. Its input is closed first.
    ///
    /// All that is written means: until every process that has the other ends of the pipes has closed them, which
    /// may be a child of the child, and later than its end.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the child is, too, and what was read is lost. To keep it, take the pipes out of the child and read
    /// them.
    #[doc(alias = "communicate")]
    #[track_caller]
    pub fn wait_with_output(self) -> impl Future<Output = io::Result<Output>> + Send {
        let at = Location::caller();
        async move {
            let mut this = self;
            drop(this.stdin.take());
            let (stdout, stderr) = (this.stdout.take(), this.stderr.take());
            let read = async |pipe: Option<PipeReader>| match pipe {
                Some(pipe) => pipe.read_whole().await,
                None => Ok(Vec::new()),
            };
            let (stdout, stderr) = tokio::try_join!(read(stdout), read(stderr))?;
            let status = this.process.wait(at).await?;
            Ok(Output { status, stdout, stderr })
        }
    }

    /// Ends the process by `SIGKILL`, and waits for its end. One that has ended already is no error.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait): if somebody else has waited for it, there is nothing to kill, and nothing to be told.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its first poll, nothing has happened; after that the process was killed, and can be waited for.
    #[track_caller]
    pub fn kill(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        let at = Location::caller();
        async move {
            self.start_kill()?;
            drop(self.stdin.take());
            self.process.wait(at).await.map(drop)
        }
    }

    /// Ends the process by `SIGKILL`, and does not wait. One that has ended already is no error.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn start_kill(&mut self) -> io::Result<()> {
        match self.process.state {
            State::Runs => match self.process.send(libc::SIGKILL) {
                // It has ended, and somebody else has waited for it.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                sent => sent.map_err(|error| self.process.failed("send a signal to", error)),
            },
            State::Over(_) | State::Gone => Ok(()),
        }
    }

    /// Sends a signal to the process: `SIGTERM`, say, to ask it to end. Never to another that has its number now.
    ///
    /// # Errors
    ///
    /// The system's: `ESRCH` if its end was waited for, `EPERM` if it has become somebody else's, `EINVAL` if there is
    /// no such signal.
    #[doc(alias = "send_signal")]
    #[doc(alias = "terminate")]
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let sent = self.process.send(signal);
        sent.map_err(|error| self.process.failed("send a signal to", error))
    }

    /// Sends a signal to every process of the group that this one leads: to the child and all that it has started,
    /// unless they have left it. It has to be started with `process_group(0)`, and its end not yet waited for.
    ///
    /// # Errors
    ///
    /// As [`signal`](Self::signal); `ESRCH` also if it leads no group.
    #[doc(alias = "killpg")]
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        let sent = match self.process.state {
            State::Runs => match self.process.pidfd() {
                Ok(pidfd) => pidfd::send_to_group(pidfd.as_fd(), self.id(), signal),
                // A group keeps its number while its leader, or anybody else in it, has not been waited for.
                Err(_) => pidfd::kill(-(self.id() as libc::pid_t), signal),
            },
            State::Over(_) | State::Gone => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        };
        sent.map_err(|error| self.process.failed("send a signal to the group of", error))
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("state", &self.process.state)
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish()
    }
}

/// The child without its pipes.
struct Process {
    /// None while it is dropped.
    child: Option<process::Child>,
    id: u32,
    /// There as soon as there was a descriptor for it. Where there was none the process is known by its number, which
    /// nobody else has until it is waited for.
    pidfd: OnceLock<SharedFd>,
    state: State,
    home: Home,
    kill_on_drop: bool,
}

#[derive(Debug)]
enum State {
    /// For all that we know.
    Runs,
    Over(ExitStatus),
    /// Somebody else has waited for it.
    Gone,
}

impl Process {
    async fn wait(&mut self, at: &'static Location<'static>) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            let pidfd = self.pidfd().map_err(|error| self.failed("wait for", error))?.clone();
            ready(&pidfd, &self.home, Interest::READABLE, at).await?;
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            // A debugger that has it hears of it first.
            self.pause(at).await.map_err(|error| self.failed("wait for", error))?;
        }
    }

    /// Waits for a millisecond: by the ring, as for all else here, so that it needs no runtime on this thread; and by the
    /// system's clock, whatever that of the runtime is.
    async fn pause(&self, at: &'static Location<'static>) -> io::Result<()> {
        // SAFETY: plain numbers.
        let timer = match unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) }
        {
            -1 => return Err(io::Error::last_os_error()),
            // SAFETY: new and ours.
            timer => SharedFd::new(unsafe { OwnedFd::from_raw_fd(timer) }),
        };
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let soon = libc::timespec { tv_nsec: 1_000_000, ..never };
        let once = libc::itimerspec { it_interval: never, it_value: soon };
        // SAFETY: it is open, and the time is there.
        match unsafe {
            libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const once, ptr::null_mut())
        } {
            -1 => Err(io::Error::last_os_error()),
            _ => ready(&timer, &self.home, Interest::READABLE, at).await.map(drop),
        }
    }

    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match self.state {
            State::Runs => {}
            State::Over(status) => return Ok(Some(status)),
            // Not asked again: by now the number may be that of another child, whose status that would take away.
            State::Gone => {
                let error = io::Error::from_raw_os_error(libc::ECHILD);
                return Err(self.failed("wait for", error));
            }
        }
        let asked = match self.pidfd.get() {
            Some(pidfd) => pidfd::try_wait(pidfd.as_fd()),
            None => self.child.as_mut().expect("it is taken by the drop only").try_wait(),
        };
        match asked {
            Ok(None) => return Ok(None),
            Ok(Some(status)) => self.state = State::Over(status),
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => self.state = State::Gone,
            Err(error) => return Err(self.failed("wait for", error)),
        }
        // Of no more use.
        drop(self.pidfd.take());
        self.try_wait()
    }

    fn send(&self, signal: i32) -> io::Result<()> {
        match self.state {
            State::Runs => match self.pidfd() {
                Ok(pidfd) => pidfd::send(pidfd.as_fd(), signal),
                // The number is its own until it is waited for.
                Err(_) => pidfd::kill(self.id as libc::pid_t, signal),
            },
            // Not by the number: it may be another's.
            State::Over(_) | State::Gone => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// The descriptor, opened if need be: the number is the child's own until it is waited for.
    fn pidfd(&self) -> io::Result<&SharedFd> {
        if let Some(pidfd) = self.pidfd.get() {
            return Ok(pidfd);
        }
        let opened = pidfd::open(self.id)?;
        Ok(self.pidfd.get_or_init(|| SharedFd::new(opened)))
    }

    fn failed(&self, verb: &str, error: io::Error) -> io::Error {
        failed(verb, format_args!("process {}", self.id), error)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.state, State::Runs) {
            return;
        }
        if self.kill_on_drop {
            let _ = match (self.pidfd.get(), self.child.as_mut()) {
                (Some(pidfd), _) => pidfd::send(pidfd.as_fd(), libc::SIGKILL),
                // By the number, which is its own until it is waited for.
                (None, Some(child)) => child.kill(),
                (None, None) => Ok(()),
            };
        }
        if matches!(self.try_wait(), Ok(None))
            && let Some(child) = self.child.take()
        {
            reaper::adopt(child, self.pidfd.take());
        }
    }
}
