//! Something to look at meanwhile: on standard error, and only if that is a terminal.

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// A bar for the first reading: one step for each file.
pub(crate) fn reading(files: usize) -> ProgressBar {
    bar(files as u64, "reading {bar:40} {human_pos} of {human_len} files")
}

/// Moves a bar along with the time, and shows how many answers there are, for as long as the task lasts.
pub(crate) async fn serving(time: Duration, answers: Arc<AtomicU64>) -> Infallible {
    let bar = bar(time.as_millis() as u64, "serving {bar:40} {msg}");
    let begun = Instant::now();
    let mut ticks = filch::time::interval(TICK);
    loop {
        ticks.tick().await;
        bar.set_position(begun.elapsed().as_millis() as u64);
        // Relaxed: a number to look at.
        bar.set_message(format!("{} answers", HumanCount(answers.load(Ordering::Relaxed))));
    }
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is right");
    ProgressBar::new(length).with_style(style.progress_chars("━╸─"))
}
