//! Signals: each listener hears of it. Of one that does nothing where nobody listens.

use super::Outcome;
use super::visit::{Visit, ensure};
use filch::process::Command;
use filch::signal::{SignalKind, signal};

pub(super) async fn visit(mut visit: Visit) -> Outcome {
    let dice = &mut visit.dice;
    let kind = SignalKind::window_change();
    let mut listeners = [signal(kind)?, signal(kind)?];
    let ourselves = std::process::id().to_string();
    let mut kill = Command::new("kill");
    let sent = kill.args(["-WINCH", &ourselves]).kill_on_drop(true).status().await?;
    ensure(sent.success(), "the signal could not be sent")?;
    for listener in &mut listeners {
        insist!(dice, listener.recv())?;
    }
    Ok(())
}
