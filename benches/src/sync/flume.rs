//! `flume`. Producers are served in order; a newcomer may take the item for which a waiting consumer was woken.
//!
//! In 0.12 a consumer that takes items as they come and then stops can leave another asleep beside a full queue, on every
//! executor. So the queue row's consumers go on until the queue is closed.

use flume::{Receiver, Sender};

use super::{Queue, name};

/// A bounded channel, `send_async` and `recv_async`.
#[derive(Debug)]
pub struct Flume;

impl Queue for Flume {
    const NAME: &'static str = name::FLUME;
    type Producer = Sender<u64>;
    type Consumer = Receiver<u64>;

    fn bounded(capacity: usize, consumers: usize) -> (Self::Producer, Vec<Self::Consumer>) {
        let (sender, receiver) = flume::bounded(capacity);
        (sender, vec![receiver; consumers])
    }

    async fn put(producer: &mut Self::Producer, item: u64) {
        producer.send_async(item).await.expect("a consumer listens");
    }

    async fn get(consumer: &mut Self::Consumer) -> Option<u64> {
        consumer.recv_async().await.ok()
    }

    fn close(producer: Self::Producer) {
        drop(producer);
    }
}
