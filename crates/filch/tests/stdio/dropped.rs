//! Wherever a future is dropped, no byte is lost, doubled or mixed with another's (C1, STDIO-3, STDIO-4, STDIO-7).

use crate::kit::{InPlace, pipe, small_pipe, terminal};
use crate::support::asked::asked_everywhere_in;
use crate::support::{
    Bytes, TempFile, breathe, everywhere, everywhere_in, gated, pattern, read_some, watched,
};
use filch::io::{BufRead, PipeReader, Read, stdin, stdout};
use filch_testkit::{Cut, child};
use std::fs::File;
use std::future::Future;
use std::io::{PipeWriter, Write as _};
use std::sync::{Arc, Mutex};

/// Drops the future of `scenario` at every poll, in a process of its own.
fn in_child<F>(test: &str, least: u32, scenario: fn(Cut) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    child::run(test, || everywhere(least, scenario));
}

/// As both, where the futures are asked to end.
fn asked_in_child<F>(test: &str, least: u32, scenario: fn(Cut) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    child::run(test, || {
        asked_everywhere_in(|workers| watched(workers).max_blocking_threads(1), least, scenario);
    });
}

/// As [`in_child`], in runtimes with one thread for what blocks.
fn in_child_with_gates<F>(test: &str, least: u32, scenario: fn(Cut) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    child::run(test, || {
        everywhere_in(|workers| watched(workers).max_blocking_threads(1), least, scenario);
    });
}

/// Writes in pieces, and closes.
async fn send(mut to: PipeWriter, bytes: &[u8]) {
    for piece in bytes.chunks(7) {
        breathe().await;
        to.write_all(piece).expect("it fits");
    }
}

async fn drain(got: &Bytes) {
    while read_some(stdin(), 5, got).await > 0 {}
}

async fn reads(cut: Cut) {
    let (from, to) = pipe();
    let _in_place = InPlace::of(0, from);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let reader = {
        let got = got.clone();
        async move {
            for size in [1, 8, 3, 20] {
                read_some(stdin(), size, &got).await;
            }
        }
    };
    filch::join!(cut.run(reader), send(to, &sent));
    drain(&got).await;
    assert_eq!(got.take(), sent);
}

#[test]
fn a_pipe_loses_no_byte() {
    in_child("dropped::a_pipe_loses_no_byte", 3, reads);
}

/// In pieces that go past what is read ahead; the last but one is asked for by itself, and more than the next wants.
async fn reads_much(cut: Cut) {
    let temp = TempFile::new("stdin", &pattern(0, 50_000));
    let _in_place = InPlace::of(0, File::open(&temp.0).expect("it is there"));
    let got = Bytes::default();
    let reader = {
        let got = got.clone();
        async move {
            for size in [1, 10_000, 20_000, 3] {
                read_some(stdin(), size, &got).await;
            }
        }
    };
    gated(cut.run(reader)).await;
    while read_some(stdin(), 3000, &got).await > 0 {}
    assert!(got.take() == pattern(0, 50_000));
}

#[test]
fn a_file_loses_no_byte() {
    in_child_with_gates("dropped::a_file_loses_no_byte", 5, reads_much);
}

async fn reads_lines(cut: Cut) {
    let (from, to) = pipe();
    let _in_place = InPlace::of(0, from);
    let got = Bytes::default();
    let reader = {
        let got = got.clone();
        async move {
            let mut lines = stdin().lines();
            for _ in 0..2 {
                let line = lines.next_line().await.expect("it reads").expect("a line");
                got.add(line.as_bytes());
                got.add(b"\n");
            }
            let mut line = String::new();
            stdin().read_line(&mut line).await.expect("it reads");
            got.add(line.as_bytes());
            let mut exactly = [0; 9];
            stdin().read_exact(&mut exactly).await.expect("it reads");
            got.add(&exactly);
            let mut piece = Vec::new();
            stdin().read_until(b';', &mut piece).await.expect("it reads");
            got.add(&piece);
            let mut lock = stdin().lock().await;
            let mut piece = Vec::new();
            lock.read_until(b';', &mut piece).await.expect("it reads");
            got.add(&piece);
        }
    };
    let sent = b"a line of some length\nanother\nand a third one\n123456789first;second;rest";
    filch::join!(cut.run(reader), send(to, sent));
    drain(&got).await;
    assert_eq!(String::from_utf8(got.take()).unwrap(), str::from_utf8(sent).unwrap());
}

#[test]
fn the_beginning_of_a_line_stays() {
    in_child("dropped::the_beginning_of_a_line_stays", 8, reads_lines);
}

async fn reads_typed(cut: Cut) {
    let (mut master, slave) = terminal();
    let _in_place = InPlace::of(0, slave);
    let got = Bytes::default();
    let reader = {
        let got = got.clone();
        async move {
            for size in [2, 30, 1] {
                read_some(stdin(), size, &got).await;
            }
        }
    };
    let sent = b"one\ntwo\nthree\n";
    let typist = async {
        for line in sent.split_inclusive(|&byte| byte == b'\n') {
            breathe().await;
            master.write_all(line).expect("it takes it");
        }
    };
    filch::join!(cut.run(reader), typist);
    while got.len() < sent.len() {
        read_some(stdin(), 30, &got).await;
    }
    assert_eq!(got.take(), sent);
}

#[test]
fn a_terminal_loses_no_line() {
    in_child("dropped::a_terminal_loses_no_line", 3, reads_typed);
}

/// Two read; whichever is dropped, the other has its turn.
async fn in_line(cut: Cut) {
    let (from, to) = pipe();
    let _in_place = InPlace::of(0, from);
    let got = Bytes::default();
    let reader = |got: Bytes| async move {
        let mut lines = stdin().lines();
        for _ in 0..3 {
            let Some(line) = lines.next_line().await.expect("it reads") else { break };
            got.add(line.as_bytes());
            got.add(b"\n");
        }
    };
    let sent = b"one\ntwo\nthree\nfour\nfive\nsix\nseven\n";
    filch::join!(reader(got.clone()), cut.run(reader(got.clone())), send(to, sent));
    drain(&got).await;
    let sorted = |bytes: &[u8]| {
        let mut lines: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(&got.take()), sorted(sent));
}

#[test]
fn readers_leave_the_line() {
    in_child("dropped::readers_leave_the_line", 4, in_line);
}

/// Writes `all` until the future is dropped, and then, from what is known to be written on, the rest.
async fn writes(cut: Cut, all: Arc<Vec<u8>>) {
    let acknowledged = Arc::new(Mutex::new(0));
    let writer = {
        let (all, acknowledged) = (all.clone(), acknowledged.clone());
        async move {
            let mut rest = &all[..];
            while !rest.is_empty() {
                let written = stdout().write(rest).await.expect("it takes it");
                *acknowledged.lock().unwrap() += written;
                rest = &rest[written..];
            }
        }
    };
    gated(cut.run(writer)).await;
    let settled = stdout().settle().await.expect("it takes it");
    let known = *acknowledged.lock().unwrap() + settled;
    stdout().write_all(&all[known..]).await.expect("it takes it");
}

async fn received(from: std::io::PipeReader) -> Vec<u8> {
    breathe().await;
    let (mut from, mut all) = (PipeReader::from_std(from).expect("a runtime"), Vec::new());
    from.read_to_end(&mut all).await.expect("it reads");
    all
}

async fn writes_to_a_pipe(cut: Cut) {
    let (from, to) = small_pipe();
    let in_place = InPlace::of(1, to);
    let all = Arc::new(pattern(0, 20_000));
    let write = async {
        writes(cut, all.clone()).await;
        drop(in_place);
    };
    let ((), received) = filch::join!(write, received(from));
    assert!(received == **all, "each byte once");
}

#[test]
fn what_a_dropped_write_to_a_pipe_has_written_is_known() {
    in_child("dropped::what_a_dropped_write_to_a_pipe_has_written_is_known", 4, writes_to_a_pipe);
}

async fn writes_to_a_file(cut: Cut) {
    let temp = TempFile::new("stdout", b"");
    let in_place = InPlace::of(1, File::create(&temp.0).expect("it may"));
    let all = Arc::new(pattern(0, 300_000));
    writes(cut, all.clone()).await;
    drop(in_place);
    assert!(std::fs::read(&temp.0).expect("it is there") == **all, "each byte once");
}

#[test]
fn what_a_dropped_write_to_a_file_has_written_is_known() {
    let name = "dropped::what_a_dropped_write_to_a_file_has_written_is_known";
    in_child_with_gates(name, 5, writes_to_a_file);
}

/// Writes lines; of the one in which it is dropped all is written, or nothing.
async fn writes_lines(cut: Cut) {
    let writer = async {
        for line in LINES {
            stdout().write_all(line.repeat(3000).as_bytes()).await.expect("it takes it");
        }
        stdout().flush().await.expect("it takes it");
    };
    gated(cut.run(writer)).await;
    stdout().write_all(b"the end").await.expect("it takes it");
}

const LINES: [&str; 3] = ["ab", "cd", "ef"];

fn check_lines(received: &[u8]) {
    let mut rest = received;
    for line in LINES {
        rest = rest.strip_prefix(line.repeat(3000).as_bytes()).unwrap_or(rest);
    }
    assert_eq!(String::from_utf8_lossy(rest), "the end");
}

async fn writes_lines_to_a_pipe(cut: Cut) {
    let (from, to) = small_pipe();
    let in_place = InPlace::of(1, to);
    let write = async {
        writes_lines(cut).await;
        drop(in_place);
    };
    let ((), received) = filch::join!(write, received(from));
    check_lines(&received);
}

#[test]
fn lines_to_a_pipe_are_whole() {
    in_child("dropped::lines_to_a_pipe_are_whole", 4, writes_lines_to_a_pipe);
}

async fn writes_lines_to_a_file(cut: Cut) {
    let temp = TempFile::new("stdout", b"");
    let in_place = InPlace::of(1, File::create(&temp.0).expect("it may"));
    writes_lines(cut).await;
    drop(in_place);
    check_lines(&std::fs::read(&temp.0).expect("it is there"));
}

#[test]
fn lines_to_a_file_are_whole() {
    in_child_with_gates("dropped::lines_to_a_file_are_whole", 5, writes_lines_to_a_file);
}

/// C2, CANCEL-10, STDIO-11
#[test]
fn a_pipe_loses_no_byte_wherever_it_is_asked_to_end() {
    asked_in_child("dropped::a_pipe_loses_no_byte_wherever_it_is_asked_to_end", 3, reads);
}

/// C2, CANCEL-10, STDIO-11
#[test]
fn a_file_loses_no_byte_wherever_it_is_asked_to_end() {
    asked_in_child("dropped::a_file_loses_no_byte_wherever_it_is_asked_to_end", 5, reads_much);
}

/// C2, CANCEL-10, STDIO-11
#[test]
fn the_beginning_of_a_line_stays_wherever_it_is_asked_to_end() {
    let name = "dropped::the_beginning_of_a_line_stays_wherever_it_is_asked_to_end";
    asked_in_child(name, 8, reads_lines);
}

/// C2, CANCEL-10, STDIO-11
#[test]
fn a_terminal_loses_no_line_wherever_it_is_asked_to_end() {
    let name = "dropped::a_terminal_loses_no_line_wherever_it_is_asked_to_end";
    asked_in_child(name, 3, reads_typed);
}

/// C2, CANCEL-10, STDIO-11
#[test]
fn readers_leave_the_line_wherever_they_are_asked_to_end() {
    let name = "dropped::readers_leave_the_line_wherever_they_are_asked_to_end";
    asked_in_child(name, 4, in_line);
}

/// C2, CANCEL-10, STDIO-11
#[test]
fn what_a_write_to_a_pipe_has_written_is_known_wherever_it_is_asked_to_end() {
    let name = "dropped::what_a_write_to_a_pipe_has_written_is_known_wherever_it_is_asked_to_end";
    asked_in_child(name, 4, writes_to_a_pipe);
}

/// C2, CANCEL-10, STDIO-11
#[test]
fn what_a_write_to_a_file_has_written_is_known_wherever_it_is_asked_to_end() {
    let name = "dropped::what_a_write_to_a_file_has_written_is_known_wherever_it_is_asked_to_end";
    asked_in_child(name, 5, writes_to_a_file);
}

/// C2, CANCEL-10, STDIO-11
#[test]
fn lines_are_whole_wherever_it_is_asked_to_end() {
    child::run("dropped::lines_are_whole_wherever_it_is_asked_to_end", || {
        let build = |workers| watched(workers).max_blocking_threads(1);
        asked_everywhere_in(build, 4, writes_lines_to_a_pipe);
        asked_everywhere_in(build, 5, writes_lines_to_a_file);
    });
}
