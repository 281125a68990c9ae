//! `futures-channel`.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;

use super::{Promise, name};

/// `oneshot`.
#[derive(Debug)]
pub struct FuturesOneshot;

/// The receiver of a sender that does send.
#[derive(Debug)]
pub struct Sent(oneshot::Receiver<u64>);

impl Future for Sent {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        Pin::new(&mut self.0).poll(context).map(|value| value.expect("it is sent"))
    }
}

impl Promise for FuturesOneshot {
    const NAME: &'static str = name::FUTURES;
    type Setter = oneshot::Sender<u64>;
    type Value = Sent;

    fn promise() -> (Self::Setter, Sent) {
        let (sender, receiver) = oneshot::channel();
        (sender, Sent(receiver))
    }

    fn set(setter: Self::Setter, value: u64) {
        setter.send(value).expect("it is awaited");
    }
}
