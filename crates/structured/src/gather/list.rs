//! Any number of children of one type. One that ends costs the same however many there are.

use super::children::{Children, Failure, Slot, Tasks, TryChildren, spawn_at};
use crate::asking::Asking;
use crate::members::Members;
use filch_sched::task::JoinError;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll, ready};

/// Children in a row.
#[derive(Debug)]
pub struct List<T> {
    members: Members<T>,
    /// What those have come to that have ended. The others are `Taken`: `members` has them.
    over: Vec<Slot<T>>,
    /// Those of them that did not simply yield a value, and were not cancelled, in the order of their ends.
    odd: VecDeque<usize>,
    /// Whether something that was yielded is odd.
    is_odd: fn(&T) -> bool,
    has_cancelled: bool,
    has_aborted: bool,
}

impl<T: Send + 'static> List<T> {
    fn spawn<F>(
        children: impl Iterator<Item = F>,
        location: &'static Location<'static>,
        is_odd: fn(&T) -> bool,
    ) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut members = Members::new();
        for child in children {
            members.insert(spawn_at(child, location));
        }
        let over = (0..members.len()).map(|_| Slot::Taken).collect();
        let odd = VecDeque::new();
        Self { members, over, odd, is_odd, has_cancelled: false, has_aborted: false }
    }
}

impl<T> Tasks for List<T> {
    type Outputs = Vec<T>;
    type Results = Vec<Result<T, JoinError>>;

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(place) = ready!(self.members.poll_next(cx)) {
            let result = self.members.take(place).result;
            match &result {
                Ok(output) if (self.is_odd)(output) => self.odd.push_back(place),
                Ok(_) => {}
                Err(error) if error.is_panic() => self.odd.push_back(place),
                Err(error) => {
                    self.has_cancelled = true;
                    self.has_aborted |= !error.is_shutdown();
                }
            }
            self.over[place] = Slot::Over(result);
        }
        Poll::Ready(())
    }

    fn cancel_all(&self, asking: &mut Asking) {
        for child in self.members.iter() {
            asking.ask(|| child.cancel());
        }
    }

    fn disown_all(&self, asking: &mut Asking) {
        for child in self.members.iter() {
            asking.ask(|| child.disown());
        }
    }

    fn take_panic(&mut self) -> Option<JoinError> {
        // All that is odd is a panic, where values are not looked at.
        self.over[self.odd.pop_front()?].take_panic()
    }

    fn has_cancelled(&self) -> bool {
        self.has_cancelled
    }

    fn has_aborted(&self) -> bool {
        self.has_aborted
    }

    fn each_error(self, each: &mut dyn FnMut(JoinError)) {
        self.over.into_iter().filter_map(|mut child| child.take_error()).for_each(each);
    }

    fn outputs(self) -> Vec<T> {
        self.over.into_iter().map(Slot::output).collect()
    }

    fn results(self) -> Vec<Result<T, JoinError>> {
        self.over.into_iter().map(Slot::result).collect()
    }
}

impl<F> Children for Vec<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Outputs = Vec<F::Output>;
    type Results = Vec<Result<F::Output, JoinError>>;
    type Tasks = List<F::Output>;

    fn spawn(self, location: &'static Location<'static>) -> Self::Tasks {
        List::spawn(self.into_iter(), location, |_| false)
    }
}

impl<F, V, E> TryChildren for Vec<F>
where
    F: Future<Output = Result<V, E>> + Send + 'static,
    V: Send + 'static,
    E: Send + 'static,
{
    type Values = Vec<V>;
    type Error = E;

    fn spawn_to_try(self, location: &'static Location<'static>) -> Self::Tasks {
        List::spawn(self.into_iter(), location, Result::is_err)
    }

    fn take_failure(tasks: &mut Self::Tasks) -> Option<Failure<E>> {
        tasks.over[tasks.odd.pop_front()?].take_failure()
    }

    fn values(tasks: Self::Tasks) -> Vec<V> {
        tasks.over.into_iter().map(Slot::value).collect()
    }
}

/// Children in a row of a length that the compiler knows.
#[derive(Debug)]
pub struct Array<T, const N: usize>(List<T>);

fn array<T, const N: usize>(all: Vec<T>) -> [T; N] {
    all.try_into().unwrap_or_else(|_| unreachable!("there are as many as there were"))
}

impl<T, const N: usize> Tasks for Array<T, N> {
    type Outputs = [T; N];
    type Results = [Result<T, JoinError>; N];

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_all(cx)
    }

    fn cancel_all(&self, asking: &mut Asking) {
        self.0.cancel_all(asking);
    }

    fn disown_all(&self, asking: &mut Asking) {
        self.0.disown_all(asking);
    }

    fn take_panic(&mut self) -> Option<JoinError> {
        self.0.take_panic()
    }

    fn has_cancelled(&self) -> bool {
        self.0.has_cancelled()
    }

    fn has_aborted(&self) -> bool {
        self.0.has_aborted()
    }

    fn each_error(self, each: &mut dyn FnMut(JoinError)) {
        self.0.each_error(each);
    }

    fn outputs(self) -> [T; N] {
        array(self.0.outputs())
    }

    fn results(self) -> Self::Results {
        array(self.0.results())
    }
}

impl<F, const N: usize> Children for [F; N]
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Outputs = [F::Output; N];
    type Results = [Result<F::Output, JoinError>; N];
    type Tasks = Array<F::Output, N>;

    fn spawn(self, location: &'static Location<'static>) -> Self::Tasks {
        Array(List::spawn(self.into_iter(), location, |_| false))
    }
}

impl<F, V, E, const N: usize> TryChildren for [F; N]
where
    F: Future<Output = Result<V, E>> + Send + 'static,
    V: Send + 'static,
    E: Send + 'static,
{
    type Values = [V; N];
    type Error = E;

    fn spawn_to_try(self, location: &'static Location<'static>) -> Self::Tasks {
        Array(List::spawn(self.into_iter(), location, Result::is_err))
    }

    fn take_failure(tasks: &mut Self::Tasks) -> Option<Failure<E>> {
        Vec::<F>::take_failure(&mut tasks.0)
    }

    fn values(tasks: Self::Tasks) -> [V; N] {
        array(Vec::<F>::values(tasks.0))
    }
}
