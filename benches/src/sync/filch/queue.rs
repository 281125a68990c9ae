//! `filch_sync::Queue`, whose items come with a lease or without.

use crate::sync::{Queue, name};

impl Queue for filch_sync::Queue<u64> {
    const NAME: &'static str = name::FILCH;
    type Producer = Self;
    type Consumer = Self;

    fn bounded(capacity: usize, consumers: usize) -> (Self, Vec<Self>) {
        let queue = Self::bounded(capacity);
        (queue.clone(), vec![queue; consumers])
    }

    async fn put(producer: &mut Self, item: u64) {
        filch_sync::Queue::put(producer, item).await.expect("nobody shuts it down");
    }

    async fn get(consumer: &mut Self) -> Option<u64> {
        filch_sync::Queue::get(consumer).await.ok().map(|lease| *lease)
    }

    fn close(producer: Self) {
        producer.shutdown();
    }
}

/// Without leases, as a program takes its items that never joins.
#[derive(Debug)]
pub struct RawQueue;

impl Queue for RawQueue {
    const NAME: &'static str = name::FILCH_RAW;
    type Producer = filch_sync::Queue<u64>;
    type Consumer = filch_sync::Queue<u64>;

    fn bounded(capacity: usize, consumers: usize) -> (Self::Producer, Vec<Self::Consumer>) {
        <Self::Producer as Queue>::bounded(capacity, consumers)
    }

    async fn put(producer: &mut Self::Producer, item: u64) {
        producer.put(item).await.expect("nobody shuts it down");
    }

    async fn get(consumer: &mut Self::Consumer) -> Option<u64> {
        consumer.get_raw().await.ok()
    }

    fn close(producer: Self::Producer) {
        producer.shutdown();
    }
}
