//! Reading ahead, keeping back, copying, and pipes in memory: what each does, and what it says when it
//! cannot.

mod support;

use filch::fs::File;
use filch::io::{
    Bidirectional, BufRead, BufReader, BufWriter, Duplex, Read, Seek, Write, copy,
    copy_bidirectional, copy_buf, duplex, empty, repeat, sink,
};
use filch_testkit::exec::{block_on, yield_now};
use std::future::poll_fn;
use std::io::{ErrorKind, SeekFrom};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use support::{TempFile, pattern};

/// Gives a byte at a time, and an interruption before each.
struct Drip<'a> {
    bytes: &'a [u8],
    interrupt: bool,
}

impl Read for Drip<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(ErrorKind::Interrupted.into());
        }
        let end = buf.len().min(1);
        self.bytes.read(&mut buf[..end]).await
    }
}

fn drip(bytes: &[u8]) -> Drip<'_> {
    Drip { bytes, interrupt: false }
}

/// Takes so many bytes, then fails.
#[derive(Debug)]
struct Full(Vec<u8>, usize);

impl Write for Full {
    async fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let fits = buf.len().min(self.1 - self.0.len()).min(3);
        if fits == 0 && !buf.is_empty() {
            return Err(ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(&buf[..fits]);
        Ok(fits)
    }
}

#[test]
fn lines_have_ends_of_two_kinds_and_the_last_may_have_none() {
    block_on(async {
        let mut lines = BufReader::with_capacity(2, drip(b"a\r\n\nb\rc\n\xff\nd")).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("a"));
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(""));
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("b\rc"));
        // What is no text is told, and the lines go on.
        assert_eq!(lines.next_line().await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("d"));
        assert_eq!(lines.next_line().await.unwrap(), None);
        assert_eq!(lines.next_line().await.unwrap(), None);

        let mut pieces = BufRead::split(&b"x,,y,"[..], b',');
        for piece in [&b"x"[..], b"", b"y"] {
            assert_eq!(pieces.next_segment().await.unwrap().as_deref(), Some(piece));
        }
        assert_eq!(pieces.next_segment().await.unwrap(), None);
    });
}

#[test]
fn a_line_may_be_longer_than_the_buffer_and_may_be_limited() {
    block_on(async {
        let mut text = "x".repeat(100_000);
        text.push_str("\nshort\n");
        let mut reader = BufReader::with_capacity(16, text.as_bytes());
        let mut line = String::from("before ");
        assert_eq!(reader.read_line(&mut line).await.unwrap(), 100_001);
        assert_eq!(line.len(), 7 + 100_001);
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        assert_eq!(line, "short\n");

        // Of a peer that is not trusted no more is kept than was allowed.
        let mut limited = BufReader::with_capacity(16, text.as_bytes()).take(40);
        let mut line = Vec::new();
        assert_eq!(limited.read_until(b'\n', &mut line).await.unwrap(), 40);
        assert_eq!(limited.limit(), 0);
        assert_eq!(limited.read_until(b'\n', &mut line).await.unwrap(), 0);
        limited.set_limit(2);
        assert_eq!(limited.fill_buf().await.unwrap(), b"xx");
        limited.consume(1);
        assert_eq!((limited.limit(), limited.buffer()), (1, &b"x"[..]));
    });
}

#[test]
fn the_smallest_buffer_grows_with_a_line() {
    block_on(async {
        for capacity in [0, 1, 2, 3] {
            let mut reader = BufReader::with_capacity(capacity, &b"a line\nanother\n"[..]);
            let mut line = String::new();
            assert_eq!(reader.read_line(&mut line).await.unwrap(), 7);
            let mut buf = [0; 3];
            reader.read_exact(&mut buf).await.unwrap();
            assert_eq!(reader.read_line(&mut line).await.unwrap(), 5);
            assert_eq!((line.as_str(), &buf), ("a line\nther\n", b"ano"));
        }
    });
}

/// Claims to have read more than there was room for.
struct Liar;

impl Read for Liar {
    async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        Ok(buf.len() + 1)
    }
}

#[test]
#[should_panic(expected = "more than there was room for")]
fn a_limit_holds_for_a_source_that_lies() {
    let _ = block_on(Liar.take(5).read(&mut [0; 8]));
}

#[test]
fn an_exact_read_beyond_the_end_takes_nothing() {
    block_on(async {
        let mut reader = BufReader::with_capacity(4, drip(b"0123456789"));
        let mut buf = [0; 6];
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"012345");
        let error = reader.read_exact(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(reader.buffer(), b"6789");
        let (source, ahead) = reader.into_parts();
        assert_eq!((source.bytes, ahead), (&b""[..], b"6789".to_vec()));
    });
}

#[test]
#[should_panic(expected = "consumed more than there is")]
fn no_more_can_be_consumed_than_there_is() {
    let mut reader = BufReader::new(&b"abc"[..]);
    block_on(reader.fill_more()).unwrap();
    reader.consume(4);
}

#[test]
fn sources_and_sinks_with_nothing_behind_them() {
    block_on(async {
        let mut all = Vec::new();
        let mut source = (&b"one "[..]).chain(repeat(b'x').take(3)).chain(empty());
        assert_eq!(source.read_to_end(&mut all).await.unwrap(), 7);
        assert_eq!(all, b"one xxx");
        let (first, _) = source.into_inner();
        assert_eq!(first.get_ref().1.limit(), 0);
        assert_eq!(copy(&mut repeat(7).take(200_000), &mut sink()).await.unwrap(), 200_000);
        assert_eq!(empty().lines().next_line().await.unwrap(), None);
        // An empty buffer is no end.
        let mut chain = (&b"ab"[..]).chain(&b"c"[..]);
        assert_eq!(chain.read(&mut []).await.unwrap(), 0);
        assert_eq!(copy_buf(&mut BufReader::new(chain), &mut all).await.unwrap(), 3);
        assert_eq!(all, b"one xxxabc");
    });
}

#[test]
fn what_is_kept_back_is_written_in_large_pieces() {
    block_on(async {
        let (near, far) = duplex(100);
        let mut writer = BufWriter::with_capacity(10, near);
        writer.write_all(b"0123456").await.unwrap();
        assert_eq!(writer.buffer(), b"0123456");
        // It takes what there is room for.
        assert_eq!(writer.write(b"789ab").await.unwrap(), 3);
        let mut buf = [0; 100];
        writer.write_all(b"ab").await.unwrap();
        assert_eq!(far.read(&mut buf).await.unwrap(), 10);
        assert_eq!(writer.buffer(), b"ab");
        writer.flush().await.unwrap();
        assert_eq!(far.read(&mut buf).await.unwrap(), 2);
        writer.write_all(b"c").await.unwrap();
        let near = writer.into_inner().await.unwrap();
        assert_eq!(far.read(&mut buf).await.unwrap(), 1);
        drop(near);
        assert_eq!(far.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn what_is_kept_back_is_not_written_by_a_drop() {
    block_on(async {
        let (near, mut far) = duplex(100);
        let mut writer = BufWriter::new(near);
        writer.write_all(b"written").await.unwrap();
        writer.flush().await.unwrap();
        writer.write_all(b"kept back").await.unwrap();
        drop(writer);
        let mut all = String::new();
        far.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "written");
    });
}

#[test]
fn what_the_sink_refuses_stays_in_the_writer() {
    block_on(async {
        let mut writer = BufWriter::with_capacity(20, Full(Vec::new(), 8));
        writer.write_all(b"0123456789ab").await.unwrap();
        let refused = writer.into_inner().await.unwrap_err();
        assert_eq!(refused.error().kind(), ErrorKind::StorageFull);
        assert!(refused.to_string().starts_with("cannot write what was kept back: "));
        let mut writer = refused.into_writer();
        assert_eq!(writer.buffer(), b"89ab");
        // Room was made.
        writer.get_mut().1 = 100;
        writer.flush().await.unwrap();
        writer.write_all(b"c").await.unwrap();
        let (sink, kept) = writer.into_parts();
        assert_eq!((sink.0.as_slice(), kept.as_slice()), (&b"0123456789ab"[..], &b"c"[..]));
    });
}

#[test]
fn a_cursor_is_where_it_was_read_and_written_to() {
    let temp = TempFile::new("seek", &pattern(0, 1000));
    filch::run(async {
        let mut reader = BufReader::with_capacity(64, File::open(&temp.0).await.unwrap());
        let mut buf = [0; 10];
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(reader.seek(SeekFrom::Current(5)).await.unwrap(), 15);
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf[..], pattern(15, 10));
        assert_eq!(reader.seek(SeekFrom::End(-3)).await.unwrap(), 997);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, pattern(997, 3));
        let error = reader.seek(SeekFrom::Current(i64::MIN)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);

        let mut writer = BufWriter::new(File::create(&temp.0).await.unwrap());
        writer.write_all(b"hello world").await.unwrap();
        writer.seek(SeekFrom::Start(0)).await.unwrap();
        writer.write_all(b"J").await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"Jello world");
    });
}

#[test]
fn a_pipe_needs_no_runtime_and_ends_in_both_directions() {
    block_on(async {
        let (near, far) = duplex(5);
        // No more than fits.
        assert_eq!(near.write(b"0123456").await.unwrap(), 5);
        let mut buf = [0; 8];
        assert_eq!(far.read(&mut buf[..2]).await.unwrap(), 2);
        assert_eq!(near.write(b"56").await.unwrap(), 2);
        near.finish().await.unwrap();
        assert_eq!(near.write(b"7").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(near.write(b"").await.unwrap(), 0);
        assert_eq!(far.read(&mut buf).await.unwrap(), 5);
        assert_eq!(&buf[..5], b"23456");
        assert_eq!(far.read(&mut buf).await.unwrap(), 0);
        // The other direction goes on.
        assert_eq!(far.write(b"x").await.unwrap(), 1);
        drop(far);
        assert_eq!(near.read(&mut buf).await.unwrap(), 1);
        assert_eq!(near.read(&mut buf).await.unwrap(), 0);
    });
    block_on(async {
        let (near, far) = duplex(1);
        near.write(b"x").await.unwrap();
        // One who waits for room is told when nobody will read any more; one who waits for bytes, of the
        // end.
        let (written, ()) = filch::join!(near.write(b"y"), async { drop(far) });
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let (near, far) = duplex(1);
        let mut buf = [0];
        let (read, ()) = filch::join!(near.read(&mut buf), async { drop(far) });
        assert_eq!(read.unwrap(), 0);
    });
}

#[test]
fn an_end_that_is_gone_leaves_no_waker_with_the_other() {
    let waker = Arc::new(NoWake);
    let (near, far) = duplex(1);
    let mut buf = [0];
    {
        let task = Waker::from(waker.clone());
        let mut cx = Context::from_waker(&task);
        assert!(pin!(near.read(&mut buf)).poll(&mut cx).is_pending());
        assert!(pin!(near.write(b"x")).poll(&mut cx).is_ready());
        assert!(pin!(near.write(b"y")).poll(&mut cx).is_pending());
    }
    drop(near);
    assert_eq!(Arc::strong_count(&waker), 1);
    drop(far);
}

struct NoWake;

impl Wake for NoWake {
    fn wake(self: Arc<Self>) {}
}

#[test]
#[should_panic(expected = "a pipe in which nothing fits")]
fn a_pipe_has_to_have_room() {
    let _ = duplex(0);
}

#[test]
fn a_pipe_between_two_workers_carries_every_byte() {
    const LEN: usize = 2_000_000;
    let runtime = support::runtime(2);
    runtime.block_on(async {
        let (near, far) = duplex(777);
        let writer = filch::spawn(async move {
            let all = pattern(0, LEN);
            (&near).write_all(&all).await.unwrap();
        });
        let reader = filch::spawn(async move {
            let mut all = Vec::new();
            (&far).read_to_end(&mut all).await.unwrap();
            all
        });
        writer.await.unwrap();
        assert!(reader.await.unwrap() == pattern(0, LEN));
    });
}

#[test]
fn copying_both_ways_ends_when_both_have_ended() {
    block_on(async {
        let (mut client, near) = duplex(8);
        let (far, mut server) = duplex(8);
        let talk = async {
            client.write_all(b"a question").await?;
            // Half closed: the answer still comes.
            client.finish().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        let serve = async {
            let mut question = String::new();
            server.read_to_string(&mut question).await?;
            server.write_all(question.to_uppercase().as_bytes()).await?;
            server.write_all(b"!").await?;
            server.finish().await.unwrap();
            Ok(())
        };
        let (moved, answer, ()) =
            filch::try_join!(copy_bidirectional(&near, &far), talk, serve).unwrap();
        assert_eq!(moved, (10, 11));
        assert_eq!(answer, "A QUESTION!");
    });
}

#[test]
fn copying_both_ways_ends_with_the_first_error() {
    block_on(async {
        let (mut client, near) = duplex(8);
        let (far, server) = duplex(8);
        drop(server);
        let mut moving = Bidirectional::new((&near, &near), (&far, &far));
        client.write_all(b"lost?").await.unwrap();
        let error = moving.run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(moving.moved(), (0, 0));
        // No.
        assert_eq!(moving.held(), (&b"lost?"[..], &b""[..]));
    });
}

/// Says something, waits for the answer, and says no more.
async fn talk(mut to: Duplex) {
    to.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    to.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"pong");
    to.finish().await.unwrap();
}

/// The other side of [`talk`].
async fn answer(mut to: Duplex) {
    let mut asked = [0; 4];
    to.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"ping");
    to.write_all(b"pong").await.unwrap();
    to.finish().await.unwrap();
    assert_eq!(to.read(&mut asked).await.unwrap(), 0);
}

/// Polls, on one thread, a future that needs nobody else; often enough that it comes to an end, if it can.
fn run_to_its_end<T>(future: impl Future<Output = T>) -> T {
    let patience = async {
        for _ in 0..1_000 {
            yield_now().await;
        }
    };
    block_on(async {
        filch::select! {
            end = future => end,
            () = patience => panic!("it is stuck"),
        }
    })
}

#[test]
fn what_a_sink_keeps_back_goes_on_when_there_is_nothing_to_read() {
    run_to_its_end(async {
        let ((client, near), (far, server)) = (duplex(64), duplex(64));
        let (near, far) = ((&near, BufWriter::new(&near)), (&far, BufWriter::new(&far)));
        let mut moving = Bidirectional::new(near, far);
        let (moved, (), ()) = filch::join!(moving.run(), talk(client), answer(server));
        assert_eq!(moved.unwrap(), (4, 4));
    });
    run_to_its_end(async {
        let ((client, near), (far, server)) = (duplex(64), duplex(64));
        let mut sinks = (BufWriter::new(&far), BufWriter::new(&near));
        let there = async {
            assert_eq!(copy(&mut &near, &mut sinks.0).await.unwrap(), 4);
            sinks.0.finish().await.unwrap();
        };
        let back = async {
            assert_eq!(copy_buf(&mut BufReader::new(&far), &mut sinks.1).await.unwrap(), 4);
            sinks.1.finish().await.unwrap();
        };
        filch::join!(there, back, talk(client), answer(server));
    });
}

/// Fills what it is given, so often; then gives single bytes, so often. Notes how much room there was.
struct Rooms(usize, usize, Vec<usize>);

impl Read for Rooms {
    async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.2.push(buf.len());
        if self.0 > 0 {
            self.0 -= 1;
            return Ok(buf.len());
        }
        let one = self.1.min(1);
        self.1 -= one;
        Ok(one)
    }
}

#[test]
fn a_copy_takes_more_memory_only_where_much_comes() {
    let rooms = |much, little| {
        let mut source = Rooms(much, little, Vec::new());
        let copied = block_on(copy(&mut source, &mut sink())).unwrap();
        let filled: usize = source.2[..much].iter().sum();
        assert_eq!(copied, (filled + little) as u64);
        source.2
    };
    assert_eq!(rooms(0, 3), [8 << 10; 4]);
    assert_eq!(rooms(4, 1), [8 << 10, 32 << 10, 64 << 10, 64 << 10, 64 << 10, 64 << 10]);
}

/// Keeps everything back, and waits long in a flush.
#[derive(Default)]
struct Slow(Vec<u8>, usize);

impl Write for Slow {
    async fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(buf);
        Ok(buf.len())
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        for _ in 0..20 {
            yield_now().await;
        }
        self.1 += 1;
        Ok(())
    }
}

#[test]
fn a_flush_does_not_hold_up_what_comes() {
    let (mut client, near) = duplex(64);
    let (mut source, mut sink) = (&near, Slow::default());
    let sending = async {
        for _ in 0..10 {
            yield_now().await;
            client.write_all(b"piece").await.unwrap();
        }
        // Now there is time for it.
        for _ in 0..40 {
            yield_now().await;
        }
        drop(client);
    };
    let copying = copy(&mut source, &mut sink);
    let (copied, ()) = run_to_its_end(async { filch::join!(copying, sending) });
    assert_eq!(copied.unwrap(), 50);
    assert_eq!(sink.0, b"piece".repeat(10));
    assert_eq!(sink.1, 2, "once before the end, and at the end");
}

/// Has bytes without end, and takes of its task's turn for each.
struct Endless(Duplex, Duplex);

impl Read for Endless {
    async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.write(b"x").await?;
        self.1.read(buf).await
    }
}

#[test]
fn neither_way_waits_for_ever_because_the_other_never_waits() {
    support::runtime(1).block_on(async {
        let moved = filch::spawn(async {
            let endless = || {
                let (one, other) = duplex(1);
                (Endless(one, other), sink())
            };
            let mut moving = Bidirectional::new(endless(), endless());
            {
                let mut run = pin!(moving.run());
                for _ in 0..10 {
                    poll_fn(|cx| {
                        assert!(run.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                    filch::task::yield_now().await;
                }
            }
            moving.moved()
        });
        let (there, back) = moved.await.unwrap();
        assert!(there > 0 && back > 0, "{there} there, {back} back");
    });
}
