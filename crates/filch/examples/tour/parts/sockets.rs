//! Sockets: streams in both directions, a connection that is accepted late, datagrams.

use super::Outcome;
use super::bytes::{receive, send};
use super::visit::{Dice, Visit, ensure};
use filch::io::{Read, Write};
use filch::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use std::net::Ipv4Addr;

pub(super) async fn visit(mut visit: Visit) -> Outcome {
    let dice = &mut visit.dice;
    match dice.below(3) {
        0 => {
            let (ours, theirs) = UnixStream::pair()?;
            both_ways((&ours, &ours), (&theirs, &theirs), dice).await
        }
        1 => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let ours = TcpStream::connect(listener.local_addr()?).await?;
            let (theirs, peer) = insist!(dice, listener.accept())?;
            ensure(peer == ours.local_addr()?, "somebody else was accepted")?;
            both_ways((&ours, &ours), (&theirs, &theirs), dice).await
        }
        _ => datagrams(dice).await,
    }
}

/// Each sends something to the other, at the same time.
async fn both_ways<R: Read, W: Write>(ours: (R, W), theirs: (R, W), dice: &mut Dice) -> Outcome {
    let lens = [(); 2].map(|()| dice.below(100_000));
    let [there, back] = lens.map(|len| dice.bytes(len));
    let mut others = [(); 4].map(|()| dice.another());
    let [one, two, three, four] = &mut others;
    let (sent, answered, came, answer) = filch::join!(
        send(ours.1, &there, one),
        send(theirs.1, &back, two),
        receive(theirs.0, three),
        receive(ours.0, four),
    );
    sent?;
    answered?;
    ensure(came? == there && answer? == back, "a stream lost or changed something")
}

/// One at a time: those do not get lost on the way.
async fn datagrams(dice: &mut Dice) -> Outcome {
    let ours = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let theirs = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (us, to) = (ours.local_addr()?, theirs.local_addr()?);
    let mut buf = vec![0; 3000];
    for _ in 0..10 {
        let len = 1 + dice.below(1200);
        let sent = dice.bytes(len);
        ours.send_to(&sent, to).await?;
        let (came, from) = insist!(dice, theirs.recv_from(&mut buf))?;
        ensure(from == us && buf[..came] == sent, "a datagram lost or changed something")?;
    }
    Ok(())
}
