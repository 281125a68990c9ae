//! `filch_sync::promise`.

use std::pin::Pin;
use std::task::{Context, Poll};

use filch_sync::{Promise, Setter};

use crate::sync::name;

/// A promise and its setter.
#[derive(Debug)]
pub struct FilchPromise;

/// A promise that is kept.
#[derive(Debug)]
pub struct Kept(Promise<u64>);

impl Future for Kept {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        Pin::new(&mut self.0).poll(context).map(|value| value.expect("it is set"))
    }
}

impl crate::sync::Promise for FilchPromise {
    const NAME: &'static str = name::FILCH;
    type Setter = Setter<u64>;
    type Value = Kept;

    fn promise() -> (Setter<u64>, Kept) {
        let (setter, promise) = filch_sync::promise();
        (setter, Kept(promise))
    }

    fn set(setter: Setter<u64>, value: u64) {
        setter.set(value).expect("it is awaited");
    }
}
