//! Random programs on one thread, against a model that is too simple to be wrong.

use crate::kit::{Bell, Drops, Item};
use filch_atomic::current;
use filch_sync::queue::{
    Get, Join, Lease, Put, PutErrorKind, Reserve, ShutDown, Slot, TryGetError,
};
use filch_sync::{LifoQueue, PriorityQueue, Queue};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Fifo,
    Lifo,
    Smallest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Put(u8),
    Reserve,
    Join,
}

/// Numbers choose among what there is, modulo how much that is.
#[derive(Debug, Clone, Copy)]
enum Step {
    Make(Kind),
    Poll(usize),
    /// By a task that has had its turn.
    PollTired(usize),
    Drop(usize),
    TryPut(u8),
    TryGet,
    TryReserve,
    TaskDone,
    DropLease(usize),
    UseSlot(usize, u8),
    DropSlot(usize),
    Shutdown,
    ShutdownNow,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(Kind::Get),
        4 => (0..4_u8).prop_map(Kind::Put),
        1 => Just(Kind::Reserve),
        1 => Just(Kind::Join),
    ];
    let any = 0..100_usize;
    prop_oneof![
        12 => kind.prop_map(Step::Make),
        16 => any.clone().prop_map(Step::Poll),
        2 => any.clone().prop_map(Step::PollTired),
        4 => any.clone().prop_map(Step::Drop),
        3 => (0..4_u8).prop_map(Step::TryPut),
        3 => Just(Step::TryGet),
        1 => Just(Step::TryReserve),
        1 => Just(Step::TaskDone),
        3 => any.clone().prop_map(Step::DropLease),
        1 => (any.clone(), 0..4_u8).prop_map(|(slot, key)| Step::UseSlot(slot, key)),
        1 => any.prop_map(Step::DropSlot),
        1 => Just(Step::Shutdown),
        1 => Just(Step::ShutdownNow),
    ]
}

/// An item with a key that it is compared by.
struct Keyed(u8, Item);

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Keyed {}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pending,
    Failed,
    Full,
    Empty,
    Got(usize),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Waits,
    Granted,
    Gone,
}

/// One future, as it should be.
#[derive(Debug)]
struct Wait {
    kind: Kind,
    number: usize,
    state: State,
    /// When it was first polled.
    place: usize,
    woken: usize,
}

/// The queue, as it should be.
#[derive(Debug)]
struct Model {
    order: Order,
    capacity: usize,
    /// Key and number, in the order in which they were put.
    items: Vec<(u8, usize)>,
    unfinished: usize,
    slots: usize,
    shut_down: bool,
    closed: bool,
    waits: Vec<Wait>,
    places: usize,
}

impl Model {
    fn granted(&self, getters: bool) -> usize {
        let is_granted = |wait: &&Wait| {
            wait.state == State::Granted
                && wait.kind != Kind::Join
                && (wait.kind == Kind::Get) == getters
        };
        self.waits.iter().filter(is_granted).count()
    }

    fn is_free(&self, getters: bool) -> bool {
        let granted = self.granted(getters);
        if getters {
            self.items.len() > granted
        } else {
            self.items.len() + self.slots + granted < self.capacity
        }
    }

    fn is_over(&self, getters: bool) -> bool {
        let is_empty = self.items.is_empty() && self.slots == 0;
        self.closed || self.shut_down && (!getters || is_empty)
    }

    fn pop(&mut self) -> usize {
        let first = match self.order {
            Order::Fifo => 0,
            Order::Lifo => self.items.len() - 1,
            Order::Smallest => {
                let least = self.items.iter().map(|item| item.0).min();
                self.items.iter().position(|item| Some(item.0) == least).unwrap()
            }
        };
        self.items.remove(first).1
    }

    /// Grants what there is, and tells those who wait for nothing.
    fn settle(&mut self) {
        let mut order: Vec<usize> = (0..self.waits.len()).collect();
        order.sort_by_key(|&wait| self.waits[wait].place);
        for wait in order {
            if self.waits[wait].state != State::Waits {
                continue;
            }
            let getters = self.waits[wait].kind == Kind::Get;
            let goes_on = match self.waits[wait].kind {
                Kind::Join => self.unfinished == 0,
                _ => self.is_over(getters) || self.is_free(getters),
            };
            if goes_on {
                self.waits[wait].state = State::Granted;
                self.waits[wait].woken += 1;
            }
        }
    }

    fn poll(&mut self, wait: usize, tired: bool) -> Outcome {
        let Wait { kind, state, number, .. } = self.waits[wait];
        let getters = kind == Kind::Get;
        if kind != Kind::Join && self.is_over(getters) {
            if tired {
                self.waits[wait].woken += 1;
                return Outcome::Pending;
            }
            self.waits[wait].state = State::Gone;
            return Outcome::Failed;
        }
        let is_free = match kind {
            Kind::Join => self.unfinished == 0,
            _ => self.is_free(getters),
        };
        if state == State::New {
            self.waits[wait].place = self.places;
            self.places += 1;
        }
        if state == State::Waits || state == State::New && !is_free {
            self.waits[wait].state = State::Waits;
            return Outcome::Pending;
        }
        if tired {
            self.waits[wait].state = State::Granted;
            self.waits[wait].woken += 1;
            return Outcome::Pending;
        }
        self.waits[wait].state = State::Gone;
        match kind {
            Kind::Get => Outcome::Got(self.pop()),
            Kind::Put(key) => {
                self.put(key, number);
                Outcome::Done
            }
            Kind::Reserve => {
                self.slots += 1;
                Outcome::Done
            }
            Kind::Join => Outcome::Done,
        }
    }

    fn put(&mut self, key: u8, number: usize) {
        self.items.push((key, number));
        self.unfinished += 1;
    }

    fn try_room(&mut self) -> Outcome {
        match (self.is_over(false), self.is_free(false)) {
            (true, _) => Outcome::Failed,
            (false, false) => Outcome::Full,
            (false, true) => Outcome::Done,
        }
    }

    fn done(&mut self) -> bool {
        let was = self.unfinished > 0;
        self.unfinished -= usize::from(was);
        was
    }
}

enum Future_<'a> {
    Get(Pin<Box<Get<'a, Keyed>>>),
    Put(Pin<Box<Put<'a, Keyed>>>),
    Reserve(Pin<Box<Reserve<'a, Keyed>>>),
    Join(Pin<Box<Join<'a>>>),
}

struct Real<'a> {
    queue: &'a Queue<Keyed>,
    futures: Vec<Option<(Future_<'a>, Arc<Bell>)>>,
    leases: Vec<Lease<Keyed>>,
    slots: Vec<Slot<Keyed>>,
}

fn refused(kind: PutErrorKind) -> Outcome {
    match kind {
        PutErrorKind::Full => Outcome::Full,
        PutErrorKind::ShutDown => Outcome::Failed,
    }
}

/// Polls, perhaps as a task that may make no more progress in this poll.
fn poll<F: Future>(future: &mut Pin<Box<F>>, bell: &Arc<Bell>, tired: bool) -> Poll<F::Output> {
    if !tired {
        return bell.poll(future);
    }
    let record = current::WaitRecord::new();
    let turn = || {
        let mut nobody = Context::from_waker(Waker::noop());
        while current::poll_proceed(&mut nobody).is_ready() {}
        bell.poll(future)
    };
    // SAFETY: null, which nobody takes for a task.
    unsafe { current::enter(std::ptr::null(), &record, turn) }
}

impl Real<'_> {
    fn poll(&mut self, future: usize, tired: bool) -> Outcome {
        let (what, bell) = self.futures[future].as_mut().expect("it is there");
        let failed = |_: ShutDown| Outcome::Failed;
        let polled = match what {
            Future_::Get(get) => poll(get, bell, tired).map(|got| {
                got.map_or_else(failed, |lease| {
                    let number = lease.1.number;
                    self.leases.push(lease);
                    Outcome::Got(number)
                })
            }),
            Future_::Put(put) => poll(put, bell, tired)
                .map(|put| put.map_or_else(|error| refused(error.kind), |()| Outcome::Done)),
            Future_::Reserve(reserve) => poll(reserve, bell, tired).map(|slot| {
                slot.map_or_else(failed, |slot| {
                    self.slots.push(slot);
                    Outcome::Done
                })
            }),
            Future_::Join(join) => poll(join, bell, tired).map(|()| Outcome::Done),
        };
        match polled {
            Poll::Pending => Outcome::Pending,
            Poll::Ready(outcome) => outcome,
        }
    }
}

fn run(order: Order, capacity: Option<usize>, program: &[Step]) {
    let queue: Queue<Keyed> = match (order, capacity) {
        (Order::Fifo, Some(capacity)) => Queue::bounded(capacity),
        (Order::Fifo, None) => Queue::unbounded(),
        (Order::Lifo, Some(capacity)) => LifoQueue::bounded(capacity).into(),
        (Order::Lifo, None) => LifoQueue::unbounded().into(),
        (Order::Smallest, Some(capacity)) => PriorityQueue::bounded(capacity).into(),
        (Order::Smallest, None) => PriorityQueue::unbounded().into(),
    };
    let drops = Arc::new(Drops::default());
    let mut model = Model {
        order,
        capacity: capacity.unwrap_or(usize::MAX),
        items: Vec::new(),
        unfinished: 0,
        slots: 0,
        shut_down: false,
        closed: false,
        waits: Vec::new(),
        places: 0,
    };
    let mut real =
        Real { queue: &queue, futures: Vec::new(), leases: Vec::new(), slots: Vec::new() };
    for &step in program {
        take(step, &mut model, &mut real, &drops);
        check(&model, &real, &drops);
    }
    // Whoever was woken for something gets it, and then everything goes.
    while let Some(granted) = model.waits.iter().position(|wait| wait.state == State::Granted) {
        take(Step::Poll(granted), &mut model, &mut real, &drops);
        check(&model, &real, &drops);
    }
    drop(real);
    drop(queue);
    assert_eq!(drops.alive(), 0);
}

fn take(step: Step, model: &mut Model, real: &mut Real<'_>, drops: &Arc<Drops>) {
    let there = |chosen: usize, real: &Real<'_>| {
        let count = real.futures.len().max(1);
        let mut turns = (0..count).map(|next| (chosen + next) % count);
        turns.find(|&next| real.futures.get(next).is_some_and(Option::is_some))
    };
    match step {
        Step::Make(kind) => {
            let mut number = 0;
            let future = match kind {
                Kind::Get => Future_::Get(Box::pin(real.queue.get())),
                Kind::Put(key) => {
                    let item = drops.item();
                    number = item.number;
                    Future_::Put(Box::pin(real.queue.put(Keyed(key, item))))
                }
                Kind::Reserve => Future_::Reserve(Box::pin(real.queue.reserve())),
                Kind::Join => Future_::Join(Box::pin(real.queue.join())),
            };
            real.futures.push(Some((future, Bell::new())));
            model.waits.push(Wait { kind, number, state: State::New, place: 0, woken: 0 });
        }
        Step::Poll(chosen) | Step::PollTired(chosen) => {
            let Some(chosen) = there(chosen, real) else { return };
            let tired = matches!(step, Step::PollTired(_));
            let (expected, outcome) = (model.poll(chosen, tired), real.poll(chosen, tired));
            assert_eq!(outcome, expected, "future {chosen}");
            if outcome != Outcome::Pending {
                real.futures[chosen] = None;
            }
        }
        Step::Drop(chosen) => {
            let Some(chosen) = there(chosen, real) else { return };
            real.futures[chosen] = None;
            model.waits[chosen].state = State::Gone;
        }
        Step::TryPut(key) => {
            let item = drops.item();
            let number = item.number;
            let put = real.queue.try_put(Keyed(key, item));
            let outcome = put.map_or_else(
                |error| {
                    assert_eq!(error.item.1.number, number, "the item comes back");
                    refused(error.kind)
                },
                |()| Outcome::Done,
            );
            assert_eq!(outcome, model.try_room());
            if outcome == Outcome::Done {
                model.put(key, number);
            }
        }
        Step::TryGet => {
            let outcome = match real.queue.try_get() {
                Ok(lease) => {
                    let number = lease.1.number;
                    real.leases.push(lease);
                    Outcome::Got(number)
                }
                Err(TryGetError::Empty) => Outcome::Empty,
                Err(TryGetError::ShutDown) => Outcome::Failed,
            };
            let expected = match (model.is_over(true), model.is_free(true)) {
                (true, _) => Outcome::Failed,
                (false, false) => Outcome::Empty,
                (false, true) => Outcome::Got(model.pop()),
            };
            assert_eq!(outcome, expected);
        }
        Step::TryReserve => {
            let slot = real.queue.try_reserve();
            let outcome = slot.map_or_else(refused, |slot| {
                real.slots.push(slot);
                Outcome::Done
            });
            assert_eq!(outcome, model.try_room());
            model.slots += usize::from(outcome == Outcome::Done);
        }
        Step::TaskDone => assert_eq!(real.queue.task_done().is_ok(), model.done()),
        Step::DropLease(chosen) if !real.leases.is_empty() => {
            drop(real.leases.remove(chosen % real.leases.len()));
            model.done();
        }
        Step::UseSlot(chosen, key) if !real.slots.is_empty() => {
            let item = drops.item();
            model.slots -= 1;
            if !model.closed {
                model.put(key, item.number);
            }
            real.slots.remove(chosen % real.slots.len()).put(Keyed(key, item));
        }
        Step::DropSlot(chosen) if !real.slots.is_empty() => {
            drop(real.slots.remove(chosen % real.slots.len()));
            model.slots -= 1;
        }
        Step::DropLease(_) | Step::UseSlot(..) | Step::DropSlot(_) => {}
        Step::Shutdown => {
            real.queue.shutdown();
            model.shut_down = true;
        }
        Step::ShutdownNow => {
            real.queue.shutdown_now();
            (model.shut_down, model.closed) = (true, true);
            let left = std::mem::take(&mut model.items).len();
            (0..left).for_each(|_| _ = model.done());
        }
    }
    model.settle();
}

fn check(model: &Model, real: &Real<'_>, drops: &Drops) {
    let queue = real.queue;
    assert_eq!(queue.len(), model.items.len());
    assert_eq!(queue.unfinished(), model.unfinished);
    assert_eq!(queue.is_shut_down(), model.shut_down);
    assert!(queue.len() <= model.capacity);
    assert!(model.shut_down || queue.is_full() != model.is_free(false));
    let mut puts = 0;
    for (number, (wait, future)) in model.waits.iter().zip(&real.futures).enumerate() {
        let Some((future, bell)) = future else { continue };
        assert_eq!(bell.rung(), wait.woken, "wakes of future {number}");
        puts += usize::from(matches!(future, Future_::Put(_)));
    }
    assert_eq!(drops.alive(), model.items.len() + real.leases.len() + puts);
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Fifo), Just(Order::Lifo), Just(Order::Smallest)]
}

fn capacity() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![3 => (1..4_usize).prop_map(Some), 1 => Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// QUEUE-1 to QUEUE-15, and who is woken when: after every step.
    #[test]
    fn a_queue_does_what_its_model_does(
        order in order(),
        capacity in capacity(),
        program in prop::collection::vec(step(), 0..60),
    ) {
        run(order, capacity, &program);
    }
}
