//! Processes: one that says something, one that is talked to, one that has to be killed.

use super::Outcome;
use super::bytes::{receive, send};
use super::visit::{Dice, Visit, ensure};
use filch::process::{Command, Stdio};
use std::os::unix::process::ExitStatusExt;

pub(super) async fn visit(mut visit: Visit) -> Outcome {
    let dice = &mut visit.dice;
    match dice.below(3) {
        0 => says_something(dice.below(200)).await,
        1 => is_talked_to(dice).await,
        _ => is_killed(dice).await,
    }
}

async fn says_something(code: usize) -> Outcome {
    let script = format!("echo out; echo err >&2; exit {code}");
    let mut sh = Command::new("/bin/sh");
    let output = sh.args(["-c", &script]).kill_on_drop(true).output().await?;
    let is_right = output.stdout == b"out\n" && output.stderr == b"err\n";
    ensure(is_right && output.status.code() == Some(code as i32), "a child said something else")
}

async fn is_talked_to(dice: &mut Dice) -> Outcome {
    let mut cat = Command::new("cat");
    cat.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = cat.spawn().await?;
    let (to, from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let len = dice.below(200_000);
    let (all, mut other) = (dice.bytes(len), dice.another());
    let (talked, came) = filch::join!(send(to, &all, dice), receive(from, &mut other));
    talked?;
    ensure(came? == all, "a pipe lost or changed something")?;
    ensure(insist!(dice, child.wait())?.success(), "a child that ends well has failed")
}

async fn is_killed(dice: &mut Dice) -> Outcome {
    let mut child = Command::new("sleep").arg("1000").kill_on_drop(true).spawn().await?;
    ensure(briefly!(dice, 3, child.wait()).is_none(), "a child has ended by itself")?;
    child.start_kill()?;
    let status = insist!(dice, child.wait())?;
    ensure(status.signal() == Some(9), "a child that was killed ended otherwise")
}
