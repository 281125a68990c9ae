//! Standard streams: those of this very program, started once more as one that says again what it is told.

use super::Outcome;
use super::visit::{Visit, ensure};
use filch::io::{BufRead, BufReader, Write, stderr, stdin, stdout};
use filch::process::{Command, Stdio};
use std::io;

/// What is before a line that was said again.
const ECHO: &str = "echo ";

/// Says again what it is told, line by line.
pub(crate) async fn echo() -> io::Result<()> {
    // Behind whatever was printed before.
    stdout().write_all(b"\n").await?;
    let mut lines = stdin().lines();
    while let Some(line) = lines.next_line().await? {
        stdout().write_all(format!("{ECHO}{line}\n").as_bytes()).await?;
    }
    stderr().write_all(b"that was all\n").await
}

pub(super) async fn visit(mut visit: Visit) -> Outcome {
    let Visit { dice, echo, .. } = &mut visit;
    let (program, args) = echo.split_first().ok_or("nobody to talk to")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().await?;
    let mut to = child.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut said = String::new();
    for number in 0..20 {
        let question = format!("{number} {}", "x".repeat(dice.below(3000)));
        to.write_all(format!("{question}\n").as_bytes()).await?;
        let answer = loop {
            let line = insist!(dice, lines.next_line())?.ok_or("there is no answer")?;
            if let Some(answer) = line.strip_prefix(ECHO) {
                break answer.to_owned();
            }
        };
        ensure(answer == question, "the answer is not what was asked")?;
    }
    drop(to);
    while let Some(line) = insist!(dice, lines.next_line())? {
        ensure(!line.starts_with(ECHO), "there are more answers than questions")?;
    }
    let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
    while insist!(dice, errors.read_line(&mut said))? > 0 {}
    ensure(said.ends_with("that was all\n"), "it did not end as it should")?;
    ensure(insist!(dice, child.wait())?.success(), "what ends well has failed")
}
