//! Pipes by the poll-based traits of tokio (PROC-8).
#![cfg(feature = "tokio-io")]

mod support;

use filch::io::pipe;
use filch_testkit::Cut;
use std::io::ErrorKind;
use std::sync::Arc;
use support::{breathe, everywhere, pattern};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn reads_and_writes(cut: Cut) {
    let (from, to) = pipe().expect("a runtime");
    let (to, all) = (Arc::new(to), Arc::new(pattern(0, 200_000)));
    let writer = {
        let (to, all) = (to.clone(), all.clone());
        async move { AsyncWriteExt::write_all(&mut &*to, &all).await.expect("it is read") }
    };
    let writing = async {
        cut.run(writer).await;
        AsyncWriteExt::flush(&mut &*to).await.expect("it is read");
        AsyncWriteExt::shutdown(&mut &*to).await.expect("it is open");
        AsyncWriteExt::shutdown(&mut &*to).await.expect("it is finished");
        let error = AsyncWriteExt::write(&mut &*to, b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    };
    let reading = async {
        breathe().await;
        let mut received = Vec::new();
        AsyncReadExt::read_to_end(&mut &from, &mut received).await.expect("it reads");
        received
    };
    let ((), received) = filch::join!(writing, reading);
    assert!(received == all[..received.len()], "a prefix, each byte once");
}

#[test]
fn a_pipe_by_polls() {
    everywhere(3, reads_and_writes);
}
