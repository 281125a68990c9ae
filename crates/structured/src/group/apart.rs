//! Taking a group's errors apart, also those of groups in the group. How deep these go is not for us to say, so nothing
//! here is a recursion.

use super::error::{Failure, GroupError};
use filch_sched::task::Meta;
use std::error::Error;
use std::mem;
use std::panic::Location;

/// Where one of those that failed belongs.
enum Side {
    Those(Failure),
    Others(Failure),
    /// It is a group: those in it are asked about.
    Below(Option<Meta>, GroupError),
    /// Somebody has taken it.
    Nowhere,
}

/// A group that is being taken apart.
struct Level {
    /// What it is in the group around it.
    task: Option<Meta>,
    location: &'static Location<'static>,
    left: std::vec::IntoIter<Failure>,
    those: Vec<Failure>,
    others: Vec<Failure>,
}

impl Level {
    fn of(task: Option<Meta>, group: GroupError) -> Self {
        let location = group.location();
        Self { task, location, left: group.into_iter(), those: Vec::new(), others: Vec::new() }
    }
}

impl GroupError {
    /// Parts those that satisfy `predicate` from those that do not. What failed in a group in the group is asked
    /// for one by one, and stays below it.
    #[doc(alias = "except*")]
    #[doc(alias = "subgroup")]
    pub fn split(
        self,
        mut predicate: impl FnMut(&Failure) -> bool,
    ) -> (Option<Self>, Option<Self>) {
        self.part(&mut |failure| match failure.into_group() {
            Ok((task, group)) => Side::Below(task, group),
            Err(failure) if predicate(&failure) => Side::Those(failure),
            Err(failure) => Side::Others(failure),
        })
    }

    /// Takes out every error that is an `E`, also from groups in the group, and gives these and what is left.
    #[doc(alias = "except*")]
    pub fn downcast<E: Error + Send + Sync + 'static>(self) -> (Vec<E>, Option<Self>) {
        let mut those = Vec::new();
        let (_, rest) = self.part(&mut |failure| match failure.downcast::<E>() {
            Ok(error) => {
                those.push(error);
                Side::Nowhere
            }
            Err(failure) => match failure.into_group() {
                Ok((task, group)) => Side::Below(task, group),
                Err(failure) => Side::Others(failure),
            },
        });
        (those, rest)
    }

    /// The same errors with no group in the group: what failed in one stands in its place.
    #[must_use]
    pub fn flatten(self) -> Self {
        let (location, mut flat) = (self.location(), Vec::new());
        self.part(&mut |failure| match failure.into_group() {
            Ok((task, group)) => Side::Below(task, group),
            Err(failure) => {
                flat.push(failure);
                Side::Nowhere
            }
        });
        Self::new(location, flat)
    }

    /// Two groups of the same shape, of those on each side. One that is empty is none.
    fn part(self, side: &mut dyn FnMut(Failure) -> Side) -> (Option<Self>, Option<Self>) {
        let mut level = Level::of(None, self);
        let mut around = Vec::new();
        loop {
            match level.left.next().map(&mut *side) {
                Some(Side::Those(failure)) => level.those.push(failure),
                Some(Side::Others(failure)) => level.others.push(failure),
                Some(Side::Below(task, group)) => {
                    around.push(mem::replace(&mut level, Level::of(task, group)));
                }
                Some(Side::Nowhere) => {}
                None => {
                    let Level { task, location, those, others, .. } = level;
                    let group =
                        |of: Vec<_>| (!of.is_empty()).then(|| GroupError::new(location, of));
                    let (those, others) = (group(those), group(others));
                    let Some(outer) = around.pop() else { return (those, others) };
                    level = outer;
                    level.those.extend(those.map(|group| Failure::of(task.clone(), group)));
                    level.others.extend(others.map(|group| Failure::of(task, group)));
                }
            }
        }
    }
}

impl Drop for GroupError {
    /// Those in groups in the group one after the other.
    fn drop(&mut self) {
        if !self.iter().any(|failure| failure.is::<GroupError>()) {
            return;
        }
        let mut left = self.take();
        while let Some(failure) = left.pop() {
            if let Ok((_, mut group)) = failure.into_group() {
                left.append(&mut group.take());
            }
        }
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::*;
    use std::fmt::Write;
    use std::num::ParseIntError;

    const DEEP: usize = 100_000;

    /// Groups in groups, with one error below all of them, and one beside each.
    fn deep() -> GroupError {
        let number = |text: &str| text.parse::<u8>().unwrap_err();
        let here = Location::caller();
        let mut group = GroupError::new(here, vec![Failure::of(None, number("x"))]);
        for _ in 1..DEEP {
            let beside = Failure::of(None, std::fmt::Error);
            group = GroupError::new(here, vec![Failure::of(None, group), beside]);
        }
        group
    }

    /// Where a recursion over so many would end the process.
    fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
        let small = std::thread::Builder::new().stack_size(64 << 10);
        small.spawn(run).unwrap().join().unwrap();
    }

    /// GROUP-16.
    #[test]
    fn however_deep_it_is_it_can_be_dropped() {
        on_a_small_stack(|| drop(deep()));
        on_a_small_stack(|| drop(deep().into_iter()));
    }

    /// GROUP-16.
    #[test]
    fn however_deep_it_is_it_can_be_taken_apart() {
        on_a_small_stack(|| {
            assert_eq!(deep().flatten().len(), DEEP);
            let (numbers, others) = deep().split(|failure| failure.is::<ParseIntError>());
            assert_eq!(numbers.unwrap().flatten().len(), 1);
            assert_eq!(others.unwrap().flatten().len(), DEEP - 1);
            let (numbers, rest) = deep().downcast::<ParseIntError>();
            assert_eq!((numbers.len(), rest.unwrap().flatten().len()), (1, DEEP - 1));
        });
    }

    /// Counts lines and what is in them.
    #[derive(Default)]
    struct Lines(usize, usize);

    impl Write for Lines {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 += text.matches('\n').count();
            self.1 += text.len();
            Ok(())
        }
    }

    /// GROUP-16. One line for each, none of them much longer than the others.
    #[test]
    fn however_deep_it_is_it_can_be_displayed() {
        on_a_small_stack(|| {
            let group = deep();
            let mut lines = Lines::default();
            write!(lines, "{group}").unwrap();
            assert_eq!(lines.0, 2 * DEEP - 1);
            assert!(lines.1 < lines.0 * 400, "{} bytes", lines.1);
            for failure in &group {
                let mut lines = Lines::default();
                write!(lines, "{failure}, {failure:?}, {failure:#?}").unwrap();
                assert!(lines.0 < 10 * DEEP);
            }
        });
    }
}
