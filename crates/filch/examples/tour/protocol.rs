//! What goes over the wire. All numbers are big-endian, of four bytes.
//!
//! The server greets a client with the number of pieces that there are. From then on the client sends
//! the number of a piece, and the server answers with a length and so many bytes; or with
//! [`CHANGED`] in place of the length, and nothing else, if the file is no longer what it was.

use filch::io::{Read, Write};
use filch::net::TcpStream;
use std::io;
use std::net::SocketAddr;

const CHANGED: u32 = u32::MAX;

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    Bytes(&'a [u8]),
    Changed,
}

/// The client's side: connects, and waits to be greeted. Gives how many pieces there are, too.
pub(crate) async fn connect(server: SocketAddr) -> io::Result<(TcpStream, usize)> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut pieces = [0; 4];
    stream.read_exact(&mut pieces).await?;
    Ok((stream, u32::from_be_bytes(pieces) as usize))
}

/// The client's side: asks for a piece and waits for the answer, for which there is `room`.
pub(crate) async fn ask<'a>(
    stream: &mut TcpStream,
    piece: usize,
    room: &'a mut [u8],
) -> io::Result<Answer<'a>> {
    stream.write_all(&number(piece)).await?;
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    match u32::from_be_bytes(header) {
        CHANGED => Ok(Answer::Changed),
        len => {
            let Some(bytes) = room.get_mut(..len as usize) else {
                let text = format!("an answer of {len} bytes, which no piece has");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            };
            stream.read_exact(bytes).await?;
            Ok(Answer::Bytes(bytes))
        }
    }
}

/// The server's side: greets.
pub(crate) async fn greet(stream: &mut TcpStream, pieces: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(&number(pieces)).await
}

/// The server's side: waits for the number of a piece. None when the client has closed.
pub(crate) async fn request(stream: &mut TcpStream) -> io::Result<Option<usize>> {
    let mut piece = [0; 4];
    let begun = stream.read(&mut piece).await?;
    if begun == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut piece[begun..]).await?;
    Ok(Some(u32::from_be_bytes(piece) as usize))
}

/// The server's side: answers. `wire` is used to put header and bytes together, so that they are sent
/// at once.
pub(crate) async fn answer(
    stream: &mut TcpStream,
    answer: Answer<'_>,
    wire: &mut Vec<u8>,
) -> io::Result<()> {
    wire.clear();
    match answer {
        Answer::Changed => wire.extend(CHANGED.to_be_bytes()),
        Answer::Bytes(bytes) => {
            wire.extend(number(bytes.len()));
            wire.extend(bytes);
        }
    }
    stream.write_all(wire).await
}

fn number(n: usize) -> [u8; 4] {
    u32::try_from(n).expect("not that many pieces, nor pieces that long").to_be_bytes()
}
