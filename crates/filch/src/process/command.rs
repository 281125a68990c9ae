//! What is to be started.

use super::{Child, ExitStatus, Output, Stdio, pidfd, reaper};
use crate::handle::Handle;
use crate::home::Home;
use crate::io::failed;
use crate::task::JoinHandle;
use crate::time_slice::TimeSlice;
use filch_atomic::sync::{Mutex, MutexGuard};
use filch_sched::task::Meta;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

/// As many are started at a time, by each runtime. More would get none of them started sooner, and take up a thread
/// each. Not of all runtimes together: one that has no thread free would hold up the others.
const AT_A_TIME: usize = 16;

/// A program to be started, with its arguments, its surroundings, and where its input comes from and its output goes.
/// It can be started any number of times.
///
/// It is a [`std::process::Command`], and [`with_std`](Self::with_std) gets at what has no method here.
///
/// A start borrows it, so what is started is what was set at the call. To start several
/// at a time make a command for each, in the task that starts it:
///
/// ```
/// # filch::run(async {
/// use filch::process::Command;
///
/// let shards = (0..3).map(|shard| {
///     filch::spawn(async move {
///         Command::new("true").env("SHARD", shard.to_string()).status().await
///     })
/// });
/// for shard in shards.collect::<Vec<_>>() {
///     assert!(shard.await.unwrap()?.success());
/// }
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// ```compile_fail,E0499
/// # filch::run(async {
/// # let mut command = filch::process::Command::new("true");
/// let start = command.spawn();
/// command.arg("too late");
/// start.await
/// # });
/// ```
///
/// # Where it is started
///
/// On a thread for closures that block: until the new process runs its program, whoever starts it stands still. That
/// takes 0.2 to 0.7 ms; on a busy machine now and then 30 ms; with `pre_exec`, `uid` or `gid`, where the system
/// has to copy the tables of the parent's memory, 40 ms if that is 1 GiB. A worker's neighbours would wait for as
/// long (S5). A runtime starts 16 at a time, and others wait in line: also while 16 stand still because their program or
/// directory is on a file system that does not answer. Such a thread may end at any time, so a child that asks to be killed with its *parent's thread*
/// (`PR_SET_PDEATHSIG`, in `pre_exec`) is to be started by [`spawn_here`](Self::spawn_here).
///
/// # While it is being started
///
/// Who awaits a start borrows the command. A start that was dropped midway goes on without that: what is set meanwhile is
/// kept, and set for the next start; nobody stands still for it, but for [`with_std`](Self::with_std) and
/// [`spawn_here`](Self::spawn_here), until the process that is being started runs its program. Of what is set a copy is
/// made.
#[doc(alias = "create_subprocess_exec")]
#[doc(alias = "create_subprocess_shell")]
pub struct Command {
    command: Arc<Shared>,
    settings: Settings,
}

/// What starts that were dropped midway have, too.
struct Shared {
    /// Held while a process is started, by a thread that may stand still meanwhile; by nobody else for long.
    command: Mutex<process::Command>,
    /// What was set meanwhile, in order.
    later: Mutex<Vec<Setting>>,
}

type Setting = Box<dyn FnOnce(&mut process::Command) + Send>;

impl Shared {
    /// The command as it was set; once it is not being started.
    fn lock(&self) -> MutexGuard<'_, process::Command> {
        self.settled(self.command.lock())
    }

    /// As [`lock`](Self::lock), unless it is being started.
    fn try_lock(&self) -> Option<MutexGuard<'_, process::Command>> {
        self.command.try_lock().map(|command| self.settled(command))
    }

    fn settled<'a>(
        &self,
        mut command: MutexGuard<'a, process::Command>,
    ) -> MutexGuard<'a, process::Command> {
        let later = std::mem::take(&mut *self.later.lock());
        for set in later {
            set(&mut command);
        }
        command
    }
}

/// What the standard library's command does not tell.
#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    kill_on_drop: bool,
    /// Whether somebody has said where these come from, or go.
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

/// What becomes of those of which nobody has said anything.
#[derive(Debug, Clone, Copy)]
enum Otherwise {
    /// They are those of this process.
    Inherit,
    /// Output is read, and there is no input.
    Read,
}

impl Command {
    /// A program: a path, or a name that is looked up in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self::from(process::Command::new(program))
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        let arg = arg.as_ref().to_owned();
        self.set(move |command| command.arg(arg))
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// Sets what the program finds as its own name.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        let arg = arg.as_ref().to_owned();
        self.set(move |command| command.arg0(arg))
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let (name, value) = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.set(move |command| command.env(name, value))
    }

    /// Sets environment variables.
    pub fn envs(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        for (name, value) in variables {
            self.env(name, value);
        }
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        let name = name.as_ref().to_owned();
        self.set(move |command| command.env_remove(name))
    }

    /// Removes all environment variables.
    pub fn env_clear(&mut self) -> &mut Self {
        self.set(process::Command::env_clear)
    }

    /// Sets the directory in which it is started.
    #[doc(alias = "cwd")]
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        let directory = directory.as_ref().to_owned();
        self.set(move |command| command.current_dir(directory))
    }

    /// Sets where its input comes from: by default from where this process has it, and from nowhere for
    /// [`output`](Self::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.settings.stdin = true;
        let stdin = stdin.into();
        self.set(move |command| command.stdin(stdin))
    }

    /// Sets where its output goes: by default to where this process has it, and into the answer of
    /// [`output`](Self::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.settings.stdout = true;
        let stdout = stdout.into();
        self.set(move |command| command.stdout(stdout))
    }

    /// Sets where its error messages go. As [`stdout`](Self::stdout).
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.settings.stderr = true;
        let stderr = stderr.into();
        self.set(move |command| command.stderr(stderr))
    }

    /// Whether the process is to be killed when its [`Child`] is dropped before its end was waited for. By default
    /// not: it goes on.
    ///
    /// It alone is killed, not what it has started: see [`Child::signal_group`].
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.settings.kill_on_drop = kill;
        self
    }

    /// Sets the user that it runs as.
    pub fn uid(&mut self, user: u32) -> &mut Self {
        self.set(move |command| command.uid(user))
    }

    /// Sets the group that it runs as.
    pub fn gid(&mut self, group: u32) -> &mut Self {
        self.set(move |command| command.gid(group))
    }

    /// Sets the process group that it is in: 0 for one of its own, which it leads.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.set(move |command| command.process_group(group))
    }

    /// Has the child call a closure before it runs the program.
    ///
    /// # Safety
    ///
    /// That of the standard library's
    /// [`pre_exec`](std::os::unix::process::CommandExt::pre_exec): the closure runs in a copy of a process with many
    /// threads, and may only do what a signal handler may.
    pub unsafe fn pre_exec(
        &mut self,
        call: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
    ) -> &mut Self {
        // SAFETY: the caller's promise.
        self.set(move |command| unsafe { command.pre_exec(call) })
    }

    /// Gets at the standard library's command, for all that has no method here. What is set there of input and
    /// output is replaced by defaults, unless it is set here as well. Stands still while a start that was dropped is in its
    /// midst: see [above](Self#while-it-is-being-started).
    pub fn with_std(
        &mut self,
        set: impl FnOnce(&mut process::Command) -> &mut process::Command,
    ) -> &mut Self {
        set(&mut self.command.lock());
        self
    }

    /// Now; or, if it is being started, before the next start.
    fn set(
        &mut self,
        set: impl FnOnce(&mut process::Command) -> &mut process::Command + Send + 'static,
    ) -> &mut Self {
        match self.command.try_lock() {
            Some(mut command) => {
                set(&mut command);
            }
            None => {
                let set = move |command: &mut process::Command| {
                    set(command);
                };
                self.command.later.lock().push(Box::new(set));
            }
        }
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// The system's, naming the program and, if one is set, the directory: `NotFound`, `PermissionDenied`, and so on.
    /// No process has been started then, or it has ended before it was the program. Without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has begun, no process is started. Dropped later, there may be one, which is then dropped as
    /// a [`Child`] is. Until it runs its program another start waits: see
    /// [above](Self#while-it-is-being-started).
    #[track_caller]
    pub fn spawn(&mut self) -> impl Future<Output = io::Result<Child>> + Send + use<'_> {
        self.start(Otherwise::Inherit)
    }

    /// Starts it in place. This thread stands still until the process runs its program: see
    /// [above](Self#where-it-is-started). For a child that is to be killed with the thread that started it, and for
    /// code that cannot wait.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn spawn_here(&mut self) -> io::Result<Child> {
        let home = Home::current()?;
        self.settings.start(&mut self.command.lock(), Otherwise::Inherit, home)
    }

    /// Starts it, waits for its end, and says how it ended.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    ///
    /// # Cancel safety
    ///
    /// As [`spawn`](Self::spawn): the process goes on, or is killed with
    /// [`kill_on_drop`](Self::kill_on_drop).
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + Send + use<'_> {
        let start = self.start(Otherwise::Inherit);
        async move {
            let mut child = start.await?;
            // Nobody else can read them.
            drop((child.stdout.take(), child.stderr.take()));
            child.wait().await
        }
    }

    /// Starts it, reads all that it writes, and waits for its end.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output`]. That it ended badly is none: look at the status.
    ///
    /// # Cancel safety
    ///
    /// As [`status`](Self::status); what was read is lost.
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + Send + use<'_> {
        let start = self.start(Otherwise::Read);
        async move { start.await?.wait_with_output().await }
    }

    #[track_caller]
    fn start(
        &self,
        otherwise: Otherwise,
    ) -> impl Future<Output = io::Result<Child>> + Send + use<> {
        let (command, settings) = (self.command.clone(), self.settings);
        let meta = Meta::here();
        async move {
            let home = Home::current()?;
            let places = home.starting(AT_A_TIME).clone();
            let is_given_up = Arc::new(AtomicBool::new(false));
            let theirs = is_given_up.clone();
            let start = move || {
                let mut command = command.lock();
                // Relaxed: who gives it up and then changes the command does that by the lock that is held here. Who
                // cannot, since it is held, changes nothing of this start.
                if theirs.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                settings.start(&mut command, otherwise, home)
            };
            let handle = Handle::try_current()?.spawn_blocking_as(start, meta, Some(&places))?;
            (&mut Starting { handle, is_given_up }.handle).await.map_err(io::Error::other)?
        }
    }
}

/// One that has not begun never does when this is dropped.
struct Starting {
    handle: JoinHandle<io::Result<Child>>,
    is_given_up: Arc<AtomicBool>,
}

impl Drop for Starting {
    fn drop(&mut self) {
        // Relaxed: see `Command::start`.
        self.is_given_up.store(true, Ordering::Relaxed);
        self.handle.abort();
    }
}

impl Settings {
    /// Starts it, on this thread.
    fn start(
        self,
        command: &mut process::Command,
        otherwise: Otherwise,
        home: Home,
    ) -> io::Result<Child> {
        reaper::help();
        let started = self.try_start(command, otherwise);
        let started = started.map_err(|error| {
            let program = Path::new(command.get_program()).display();
            match command.get_current_dir() {
                None => failed("start", program, error),
                Some(directory) => {
                    failed("start", format_args!("{program} in {}", directory.display()), error)
                }
            }
        });
        started.map(|child| Child::new(child, home, self.kill_on_drop))
    }

    fn try_start(
        self,
        command: &mut process::Command,
        otherwise: Otherwise,
    ) -> io::Result<process::Child> {
        let [stdin, stdout, stderr] = match otherwise {
            Otherwise::Inherit => [Stdio::inherit(), Stdio::inherit(), Stdio::inherit()],
            Otherwise::Read => [Stdio::null(), Stdio::piped(), Stdio::piped()],
        };
        if !self.stdin {
            command.stdin(stdin);
        }
        if !self.stdout {
            command.stdout(stdout);
        }
        if !self.stderr {
            command.stderr(stderr);
        }
        // A worker's short slices are not for other programs; a thread that a worker has started has them, too.
        let _slice = TimeSlice::as_given();
        // Room for the child's own, so that there is no child where there is no such room, or no such thing.
        let room = pidfd::open(process::id())?;
        let child = command.spawn();
        drop(room);
        child
    }
}

/// What is set there of input and output is replaced by defaults, unless it is set here as well.
impl From<process::Command> for Command {
    fn from(command: process::Command) -> Self {
        let shared = Shared { command: Mutex::new(command), later: Mutex::default() };
        Self { command: Arc::new(shared), settings: Settings::default() }
    }
}

/// As a shell would have it.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.command.try_lock() {
            Some(command) => fmt::Debug::fmt(&*command, f),
            None => f.write_str("a command that is being started"),
        }
    }
}
