//! Starting other programs: cargo mostly, and test binaries with a limit on their time.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::steps::Done;
use crate::tree;

/// How often a child with a time limit is looked at.
const LOOK_MS: u64 = 10;

/// `cargo ARGS...` at the root of the repository.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(tree::root());
    command
}

/// Runs a command with our own output; an error when it cannot start or fails.
pub(crate) fn run(mut command: Command) -> Result<Done, String> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cannot start {}: {error}", name(&command)))?;
    if status.success() {
        Ok(Done::Passed)
    } else {
        Err(format!("{} ended with {status}", name(&command)))
    }
}

/// The standard output of a command that has to succeed; its errors go to ours.
pub(crate) fn stdout(mut command: Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start {}: {error}", name(&command)))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", name(&command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{} printed no UTF-8", name(&command)))
}

/// Runs a command with both its outputs in the file `log`, and kills it after `limit`.
/// `None` means that it had to be killed.
pub(crate) fn run_bounded(
    mut command: Command,
    log: &Path,
    limit: Duration,
) -> Result<Option<ExitStatus>, String> {
    let cannot_log = |error| format!("cannot write {}: {error}", log.display());
    let out = File::create(log).map_err(cannot_log)?;
    let err = out.try_clone().map_err(cannot_log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", name(&command)))?;
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) if started.elapsed() < limit => {
                thread::sleep(Duration::from_millis(LOOK_MS));
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
            Err(error) => return Err(format!("cannot wait for {}: {error}", name(&command))),
        }
    }
}

/// The command as a person would type it, its folders left out.
fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_names_the_command() {
        assert!(run(shell("exit 0")).is_ok());
        let error = run(shell("exit 3")).unwrap_err();
        assert!(error.starts_with("sh -c exit 3 ended with"), "{error}");
        assert!(run(Command::new("no-such-program-here")).unwrap_err().starts_with("cannot start"));
    }

    #[test]
    fn a_bounded_run_keeps_both_outputs_and_is_killed_at_its_limit() {
        let log = std::env::temp_dir().join(format!("xtask-bounded-{}", std::process::id()));
        let status = run_bounded(shell("echo one; echo two >&2"), &log, Duration::from_secs(60));
        assert!(status.unwrap().unwrap().success());
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "one\ntwo\n");
        let killed = run_bounded(shell("exec sleep 600"), &log, Duration::from_millis(50));
        assert!(killed.unwrap().is_none());
        std::fs::remove_file(&log).unwrap();
    }
}
