//! Reading ahead, keeping back and pumping by chance: calls of every kind, of every size, dropped at any poll,
//! between a source and a sink that wait, interrupt and write a part whenever they like (C1).

use filch::io::{BufRead, BufReader, BufWriter, Pump, Read, Write, copy_buf};
use filch_testkit::Random;
use filch_testkit::exec::{block_on, yield_now};
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::pin::pin;
use std::task::Poll;

const ROUNDS: u64 = 300;

/// Runs `future` for so many polls, or to its end.
async fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

async fn wait(random: &mut Random) -> Result<()> {
    for _ in 0..random.below(3) {
        yield_now().await;
    }
    if random.below(8) == 0 { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
}

struct Source {
    bytes: Vec<u8>,
    given: usize,
    random: Random,
}

impl Read for Source {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        wait(&mut self.random).await?;
        let most = buf.len().min(self.bytes.len() - self.given);
        let read = if most == 0 { 0 } else { 1 + self.random.below(most) };
        buf[..read].copy_from_slice(&self.bytes[self.given..self.given + read]);
        self.given += read;
        Ok(read)
    }
}

/// As a socket: a write that was dropped goes on, and can be asked for.
struct Sink {
    written: Vec<u8>,
    /// What has begun, and in how many polls it will be done.
    pending: Option<(Vec<u8>, usize)>,
    failed: Option<Error>,
    unheard: usize,
    random: Random,
}

impl Sink {
    fn new(random: Random) -> Self {
        Self { written: Vec::new(), pending: None, failed: None, unheard: 0, random }
    }

    async fn done(&mut self) -> Result<usize> {
        while let Some((_, left @ 1..)) = &mut self.pending {
            *left -= 1;
            yield_now().await;
        }
        let Some((bytes, _)) = self.pending.take() else { return Ok(0) };
        if self.random.below(8) == 0 {
            return Err(ErrorKind::Interrupted.into());
        }
        let end = 1 + self.random.below(bytes.len());
        self.written.extend_from_slice(&bytes[..end]);
        Ok(end)
    }

    async fn settled(&mut self) -> Result<()> {
        if self.pending.is_some() {
            match self.done().await {
                Ok(written) => self.unheard = written,
                Err(error) => self.failed = Some(error),
            }
        }
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl Write for Sink {
    async fn write(&mut self, buf: &[u8]) -> Result<usize> {
        wait(&mut self.random).await?;
        self.settled().await?;
        self.unheard = 0;
        self.pending = Some((buf.to_vec(), self.random.below(4)));
        self.done().await
    }

    async fn settle(&mut self) -> Result<usize> {
        wait(&mut self.random).await?;
        self.settled().await?;
        Ok(std::mem::take(&mut self.unheard))
    }
}

/// Bytes of which every eighth or so ends a line.
fn text(random: &mut Random) -> Vec<u8> {
    let len = random.below(400);
    (0..len).map(|_| if random.below(8) == 0 { b'\n' } else { random.below(128) as u8 }).collect()
}

/// Runs `round` with many seeds, and says which it was that went wrong.
fn rounds(round: impl AsyncFn(Random)) {
    let seed = Random::seed();
    for number in 0..ROUNDS {
        let seed = seed.wrapping_add(number);
        let told = Told(seed);
        block_on(round(Random::new(seed)));
        std::mem::forget(told);
    }
}

struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("FILCH_SEED={}", self.0);
    }
}

#[test]
fn a_reader_gives_each_byte_once() {
    rounds(async |mut random| {
        let all = text(&mut random);
        let source = Source { bytes: all.clone(), given: 0, random: random.clone() };
        let mut reader = BufReader::with_capacity(random.below(20), source);
        let mut got = Vec::new();
        loop {
            let polls = if random.below(3) == 0 { random.below(4) } else { usize::MAX };
            let rest = &all[got.len()..];
            let line = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
            match random.below(6) {
                0 => {
                    let mut buf = vec![0; 1 + random.below(30)];
                    match polled(polls, reader.read(&mut buf)).await {
                        Some(Ok(read)) => got.extend(&buf[..read]),
                        Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Interrupted),
                        None => {}
                    }
                }
                1 => {
                    let mut buf = vec![0; random.below(30)];
                    match polled(polls, reader.read_exact(&mut buf)).await {
                        Some(Ok(())) => got.extend(&buf),
                        Some(Err(_)) => assert!(buf.len() > rest.len()),
                        None => {}
                    }
                }
                2 => {
                    let mut to = String::from("x");
                    let read = polled(polls, reader.read_line(&mut to)).await;
                    if let Some(read) = read {
                        assert_eq!((read.unwrap(), to.len()), (line, line + 1));
                    }
                    got.extend(&to.as_bytes()[1..]);
                }
                3 => {
                    let read = polled(polls, reader.read_until(b'\n', &mut got)).await;
                    assert!(read.is_none_or(|read| read.unwrap() == line));
                }
                4 => {
                    let limit = random.below(20);
                    let mut limited = (&mut reader).take(limit as u64);
                    let read = polled(polls, limited.read_until(b'\n', &mut got)).await;
                    assert!(read.is_none_or(|read| read.unwrap() == line.min(limit)));
                }
                _ => {
                    if let Some(ahead) = polled(polls, reader.fill_buf()).await {
                        let taken = random.below(ahead.unwrap().len() + 1);
                        got.extend(&reader.buffer()[..taken]);
                        reader.consume(taken);
                    }
                }
            }
            assert!(all.starts_with(&got), "in order");
            if got.len() == all.len() && random.below(4) == 0 {
                return;
            }
        }
    });
}

#[test]
fn a_writer_writes_each_byte_once() {
    rounds(async |mut random| {
        let mut writer =
            BufWriter::with_capacity(random.below(20), Sink::new(Random::new(random.next_u64())));
        let mut expected = Vec::new();
        for number in 0..random.below(60) {
            let polls = if random.below(3) == 0 { random.below(5) } else { usize::MAX };
            if random.below(4) == 0 {
                let _dropped = polled(polls, writer.flush()).await.is_none_or(|end| end.is_ok());
                continue;
            }
            let piece = vec![number as u8; random.below(30)];
            if let Some(Ok(taken)) = polled(polls, writer.write(&piece)).await {
                expected.extend(&piece[..taken]);
            }
        }
        writer.finish().await.unwrap();
        let (sink, kept) = writer.into_parts();
        assert_eq!((sink.written, kept), (expected, Vec::new()));
    });
}

#[test]
fn a_pump_moves_each_byte_once() {
    rounds(async |mut random| {
        let all = text(&mut random);
        let mut source = Source { bytes: all.clone(), given: 0, random: random.clone() };
        let mut sink = Sink::new(Random::new(random.next_u64()));
        let mut writer = BufWriter::with_capacity(random.below(90), &mut sink);
        let through_writer = random.below(2) == 0;
        let mut pump = Pump::new();
        loop {
            let polls = random.below(200);
            let run = async {
                match through_writer {
                    true => pump.run(&mut source, &mut writer).await,
                    false => pump.run(&mut source, writer.get_mut()).await,
                }
            };
            if let Some(moved) = polled(polls, run).await {
                assert_eq!(moved.unwrap(), all.len() as u64);
                break;
            }
        }
        assert!(pump.is_done());
        assert_eq!(sink.written, all);
    });
}

#[test]
fn a_copy_from_a_reader_moves_each_byte_once() {
    rounds(async |mut random| {
        let all = text(&mut random);
        let source = Source { bytes: all.clone(), given: 0, random: random.clone() };
        let mut reader = BufReader::with_capacity(random.below(50), source);
        let mut sink = Sink::new(Random::new(random.next_u64()));
        while polled(random.below(100), copy_buf(&mut reader, &mut sink)).await.is_none() {
            let settled = loop {
                match sink.settle().await {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    settled => break settled.unwrap(),
                }
            };
            reader.consume(settled);
        }
        assert_eq!(sink.written, all);
    });
}
