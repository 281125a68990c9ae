//! Bytes that are sent and received with many a wait given up on the way. Of each there is one in the end.

use super::visit::Dice;
use filch::io::{Read, Write};
use std::io;

/// Sends all of it, and the end.
pub(super) async fn send(mut to: impl Write, all: &[u8], dice: &mut Dice) -> io::Result<()> {
    let (mut done, mut tries) = (0, 0);
    while done < all.len() {
        let end = all.len().min(done + 1 + dice.below(30_000));
        done += match briefly!(dice, tries, to.write(&all[done..end])) {
            Some(wrote) => wrote?,
            // It may have written all the same.
            None => to.settle().await?,
        };
        tries += 1;
    }
    to.finish().await
}

/// Receives everything up to the end.
pub(super) async fn receive(mut from: impl Read, dice: &mut Dice) -> io::Result<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), vec![0; 40_000]);
    loop {
        let size = 1 + dice.below(buf.len());
        match insist!(dice, from.read(&mut buf[..size]))? {
            0 => return Ok(all),
            read => all.extend_from_slice(&buf[..read]),
        }
    }
}
