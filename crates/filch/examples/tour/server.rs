//! The server: a task for each connection.

use super::catalogue::Catalogue;
use super::piece::PIECE;
use super::protocol::{self, Answer};
use filch::net::{TcpListener, TcpStream};
use std::io;
use std::sync::Arc;

/// Serves until `done` is ready, and then what is connected until the clients close. Gives what `done`
/// gave, and what went wrong.
pub(crate) async fn serve<T>(
    listener: TcpListener,
    catalogue: Arc<Catalogue>,
    mut done: impl Future<Output = T> + Unpin,
) -> (T, Vec<io::Error>) {
    let mut connections = Vec::new();
    let mut troubles = Vec::new();
    let outcome = loop {
        // A connection that comes in the moment in which `done` wins is not lost: the listener keeps it.
        filch::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => {
                    connections.push(filch::spawn(converse(stream, catalogue.clone())));
                }
                // With no descriptor left, say, the next accept waits a little by itself.
                Err(error) => troubles.push(error),
            },
            outcome = &mut done => break outcome,
        }
    };
    drop(listener);
    for connection in connections {
        if let Err(error) = connection.await.map_err(io::Error::other).flatten() {
            troubles.push(error);
        }
    }
    (outcome, troubles)
}

/// Answers one client until it closes.
async fn converse(mut stream: TcpStream, catalogue: Arc<Catalogue>) -> io::Result<()> {
    protocol::greet(&mut stream, catalogue.pieces()).await?;
    let mut room = vec![0; PIECE].into_boxed_slice();
    let mut wire = Vec::new();
    while let Some(number) = protocol::request(&mut stream).await? {
        let Some((file, piece)) = catalogue.get(number) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a piece that there is not"));
        };
        let read;
        (read, room) = file.read(piece, room).await?;
        let answer = read.map_or(Answer::Changed, |read| Answer::Bytes(&room[..read]));
        protocol::answer(&mut stream, answer, &mut wire).await?;
    }
    Ok(())
}
