//! Groups and their kin: children that all end, errors that all come, work that is lent and shared.

use super::Outcome;
use super::visit::{Dice, Visit, ensure};
use filch::time::sleep;
use filch::{cancellable, cpu, gather, group, race, scope_with, shield};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a child fails with on purpose.
pub(crate) const BROKEN: &str = "broken on purpose";

pub(super) async fn visit(mut visit: Visit) -> Outcome {
    let dice = &mut visit.dice;
    let children = 1 + dice.below(20);
    one_that_fails_ends_all(children, dice.another()).await?;

    let moments = [(); 4].map(|()| dice.moment(2));
    let [a, b, c, d] = moments.map(|moment| async move {
        sleep(moment).await;
        moment
    });
    ensure(gather([a, b, c, d]).await == moments, "an output is in another's place")?;
    let (short, long) = (sleep(moments[0]), pending::<()>());
    let won = race((
        async {
            short.await;
            "short"
        },
        async {
            long.await;
            "long"
        },
    ))
    .await;
    ensure(won == "short", "who never ends has won")?;
    let blocking = filch::spawn_blocking(move || children * 2);
    ensure(blocking.await? == children * 2, "a thread gave something else")?;

    let len = 1 + dice.below(10_000);
    let bytes = dice.bytes(len);
    let expected: usize = bytes.iter().map(|&byte| usize::from(byte)).sum();
    let (half, other) = bytes.split_at(len / 2);
    let (mut one, mut two) = (0, 0);
    cpu::join(|| one = sum(half), || two = sum(other));
    ensure(one + two == expected, "what was shared was not all done")?;
    let lent = scope_with(bytes, async |scope, bytes| {
        let half = scope.spawn(async |bytes| sum(&bytes[..bytes.len() / 2]));
        let other = sum(&bytes[bytes.len() / 2..]);
        half.await.map(|half| half + other)
    });
    ensure(lent.await.0? == expected, "what was lent was not all done")?;
    let moment = dice.moment(2);
    let kept = shield(async move {
        sleep(moment).await;
        7
    });
    ensure(kept.await? == 7, "what was shielded gave something else")
}

fn sum(bytes: &[u8]) -> usize {
    bytes.iter().map(|&byte| usize::from(byte)).sum()
}

/// A group whose children wait for ever, but for one that fails: all others have cleaned up when it is over.
async fn one_that_fails_ends_all(children: usize, mut dice: Dice) -> Outcome {
    let cleaned = Arc::new(AtomicUsize::new(0));
    let count = cleaned.clone();
    let moment = dice.moment(2);
    let failed = group(async move |g| {
        for _ in 0..children {
            let count = count.clone();
            g.spawn(async move {
                let clean_up = async || {
                    sleep(moment / 4).await;
                    // Relaxed: the end of the group is in between.
                    count.fetch_add(1, Ordering::Relaxed);
                };
                cancellable(pending::<()>()).on_cancel(clean_up).await
            });
        }
        g.spawn(async move {
            sleep(moment).await;
            Err::<(), _>(BROKEN)
        });
        Ok(())
    });
    let error = failed.await.err().ok_or("an error got lost")?;
    let is_it = error.iter().all(|failure| failure.error().to_string() == BROKEN);
    ensure(error.len() == 1 && is_it, "there is another error than the one")?;
    ensure(cleaned.load(Ordering::Relaxed) == children, "a child did not clean up")
}
