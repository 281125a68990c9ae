//! `async-channel`. Newcomers, on both sides, barge in before those who were woken.

use async_channel::{Receiver, Sender};

use super::{Queue, name};

impl Queue for Sender<u64> {
    const NAME: &'static str = name::ASYNC_CHANNEL;
    type Producer = Self;
    type Consumer = Receiver<u64>;

    fn bounded(capacity: usize, consumers: usize) -> (Self, Vec<Receiver<u64>>) {
        let (sender, receiver) = async_channel::bounded(capacity);
        (sender, vec![receiver; consumers])
    }

    async fn put(producer: &mut Self, item: u64) {
        producer.send(item).await.expect("a consumer listens");
    }

    async fn get(consumer: &mut Receiver<u64>) -> Option<u64> {
        consumer.recv().await.ok()
    }

    fn close(producer: Self) {
        drop(producer);
    }
}
