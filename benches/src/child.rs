//! The processes of a trial: this program started again with a hidden subcommand.
//!
//! A child talks to its parent on its standard output, a line at a time: a server announces its port, whoever measures
//! prints its sample. It dies with its parent, and of itself after two minutes.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdout, Command, Stdio};

use crate::files::data;
use crate::load::Target;
use crate::measure::Sample;
use crate::plan::{Conduct, Trial};
use crate::sys;

/// The hidden subcommand that makes this program a child.
pub const SUBCOMMAND: &str = "__trial";

/// A child that lives longer has hung.
const LIMIT_SECONDS: u32 = 120;

const WORK: &str = "work";
const SERVE: &str = "serve";
const LOAD: &str = "load";
const PORT: &str = "port ";

/// Runs a trial in processes of its own.
///
/// # Errors
///
/// When a process cannot be started, fails or hangs.
pub fn run(trial: &Trial) -> io::Result<Sample> {
    match trial.row.conduct {
        Conduct::Alone(_) => Child::start(trial, WORK, &[])?.sample(),
        Conduct::Served { .. } => {
            let mut server = Child::start(trial, SERVE, &[])?;
            let port = server.expect_line(|line| line.strip_prefix(PORT)?.parse::<u16>().ok())?;
            let target = [port.to_string(), server.process.id().to_string()];
            Child::start(trial, LOAD, &target)?.sample()
            // The server is killed when it goes out of scope.
        }
    }
}

/// The command that does a trial's work in one process; the arguments of `wrapper` come first, if there is one.
///
/// # Errors
///
/// When this program's own path is unknown.
pub fn work_command(trial: &Trial, wrapper: &[&str]) -> io::Result<Command> {
    command(trial, WORK, &[], wrapper)
}

fn command(trial: &Trial, role: &str, extra: &[String], wrapper: &[&str]) -> io::Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = match wrapper {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(OsStr::new(first));
            command.args(rest).arg(program);
            command
        }
    };
    command.arg(SUBCOMMAND).arg(role).args(trial.to_args()).args(extra);
    command.env(data::FOLDER, data::folder()?);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

/// What a child does, given the arguments after [`SUBCOMMAND`].
///
/// # Errors
///
/// When the arguments make no sense or the work fails.
pub fn main(args: &[String]) -> io::Result<()> {
    sys::die_with_parent()?;
    // SAFETY: takes no pointer; nobody handles SIGALRM here, so that it ends the process.
    unsafe { libc::alarm(LIMIT_SECONDS) };

    let nonsense = || io::Error::other(format!("not a trial: {args:?}"));
    let (role, rest) = args.split_first().ok_or_else(nonsense)?;
    let (trial, extra) = rest.split_at_checked(7).ok_or_else(nonsense)?;
    let trial = Trial::from_args(trial).ok_or_else(nonsense)?;
    let single = trial.shape.workers == 1;
    match (role.as_str(), &trial.row.conduct) {
        (WORK, Conduct::Alone(work)) => {
            if single {
                sys::pin(0)?;
            }
            print(&work(&trial)?.encode())
        }
        (SERVE, Conduct::Served { serve, .. }) => {
            if single {
                sys::pin(0)?;
            }
            serve(&trial)
        }
        (LOAD, Conduct::Served { load, .. }) => {
            if single {
                sys::pin(1)?;
            }
            let [port, pid] = extra else { return Err(nonsense()) };
            let target = Target {
                port: port.parse().map_err(|_| nonsense())?,
                pid: pid.parse().map_err(|_| nonsense())?,
            };
            print(&load(&trial, target)?.encode())
        }
        _ => Err(nonsense()),
    }
}

/// Tells the parent, from a server, which port to load.
///
/// # Errors
///
/// When the parent no longer listens.
pub fn announce(port: u16) -> io::Result<()> {
    print(&format!("{PORT}{port}"))
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// A running child; killed when dropped.
struct Child {
    process: Process,
    stdout: BufReader<ChildStdout>,
    what: String,
}

impl Child {
    fn start(trial: &Trial, role: &str, extra: &[String]) -> io::Result<Self> {
        let mut process = command(trial, role, extra, &[])?.spawn()?;
        let stdout = BufReader::new(process.stdout.take().expect("the output is piped"));
        let what = format!("{} ({}, {role})", trial.title(), trial.contender);
        Ok(Self { process, stdout, what })
    }

    fn sample(mut self) -> io::Result<Sample> {
        self.expect_line(Sample::decode)
    }

    /// The first line that `parse` understands, whatever comes before it.
    fn expect_line<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> io::Result<T> {
        let mut line = String::new();
        while self.stdout.read_line(&mut line)? > 0 {
            if let Some(value) = parse(line.trim_end()) {
                return Ok(value);
            }
            line.clear();
        }
        let status = self.process.wait()?;
        Err(io::Error::other(format!("{}: ended with {status} and no result", self.what)))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; only its being waited for matters, so that its CPU time is counted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
