//! Producers put numbers into a bounded queue and consumers take them out. An operation is one number that got through.
//!
//! `4p1c/64` are four producers, one consumer and room for 64. tokio's queue has one consumer only.

use std::io;

use super::{GROUP, shapes, together, variant_and_executor, with_executor};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::rows::{PER_OP, measured, nothing};
use crate::runtime::Runtime;
use crate::sync::{Flume, Mpsc, Queue, RawQueue, name, with_library};

/// Every producer's share is a whole number of items.
const ITEMS: u64 = 4;

/// All forms on filch's executor, some of them on tokio's too: the library is measured, and it takes long enough.
const SHAPES: &[Shape] = &shapes!(
    filch: "1p1c/1", "1p1c/64", "1p1c/1024", "4p1c/1", "4p1c/64", "4p1c/1024", "1p4c/1", "1p4c/64", "1p4c/1024", "4p4c/1",
        "4p4c/64", "4p4c/1024";
    tokio_mt: "1p1c/1", "1p1c/64", "4p1c/64", "4p4c/64"
);

pub(in crate::rows) static ROW: Row = Row {
    name: "queue",
    group: GROUP,
    about: "1 and 4 producers, 1 and 4 consumers, a bounded queue for 1, 64 and 1,024 items",
    by_default: false,
    shapes: SHAPES,
    contenders: &[name::FILCH, name::FILCH_RAW, name::TOKIO, name::ASYNC_CHANNEL, name::FLUME],
    fits: has_consumers,
    remarks: &[(name::ASYNC_CHANNEL, "barges"), (name::FLUME, "its consumers barge")],
    baseline: name::ASYNC_CHANNEL,
    columns: PER_OP,
    size: Size { full: 250_000, quick: 2_500 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn has_consumers(shape: Shape, library: &str) -> bool {
    library != name::TOKIO || Form::of(shape.variant).consumers == 1
}

/// Who puts and takes, and how much room there is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Form {
    producers: usize,
    consumers: usize,
    capacity: usize,
}

impl Form {
    /// Reads `4p1c/64`, and whatever comes behind a space.
    fn of(variant: &str) -> Self {
        let parse = || {
            let form = variant.split(' ').next()?;
            let (producers, rest) = form.split_once('p')?;
            let (consumers, capacity) = rest.split_once("c/")?;
            Some(Self {
                producers: producers.parse().ok()?,
                consumers: consumers.parse().ok()?,
                capacity: capacity.parse().ok()?,
            })
        };
        parse().expect("the variant names the form")
    }
}

fn work(trial: &Trial) -> io::Result<Sample> {
    let form = Form::of(variant_and_executor(trial).0);
    let (body, workers) = (trial.clone(), trial.shape.workers);
    with_executor!(trial, R => with_library!(Queue, &trial.contender, Q => {
        R::run(workers, measured(body, ITEMS, move |size| pass::<R, Q>(form, size * ITEMS)))
    }, [filch_sync::Queue<u64>, RawQueue, Mpsc, async_channel::Sender<u64>, Flume]))?
}

async fn pass<R: Runtime, Q: Queue>(form: Form, items: u64) {
    let (producer, consumers) = Q::bounded(form.capacity, form.consumers);
    let given = items / form.producers as u64;
    let consumers: Vec<_> = consumers
        .into_iter()
        .map(|mut consumer| {
            R::spawn(async move {
                let mut sum = 0;
                while let Some(number) = Q::get(&mut consumer).await {
                    sum += number;
                }
                sum
            })
        })
        .collect();
    let produce = |_| {
        let mut producer = producer.clone();
        async move {
            for number in 0..given {
                Q::put(&mut producer, number).await;
            }
        }
    };
    together::<R, _>((0..form.producers).map(produce)).await;
    Q::close(producer);
    let mut sum = 0;
    for consumer in consumers {
        sum += consumer.await.expect("the task finishes");
    }
    assert_eq!(sum, form.producers as u64 * (0..given).sum::<u64>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_a_form() {
        for shape in ROW.shapes {
            let form = Form::of(shape.variant);
            assert_eq!(ITEMS % form.producers as u64, 0);
        }
        let form = Form { producers: 4, consumers: 1, capacity: 1024 };
        assert_eq!(Form::of("4p1c/1024 on filch"), form);
    }

    #[test]
    fn one_consumer_does_not_compete_with_four() {
        let takes_part = |variant| has_consumers(Shape { variant, workers: 1 }, name::TOKIO);
        assert!(takes_part("4p1c/64 on filch"));
        assert!(!takes_part("1p4c/64 on filch"));
    }
}
