//! Tuples of children: few, and each of a type of its own. All are looked at when one has ended.

use super::children::{Children, Failure, Slot, Tasks, TryChildren, spawn_at};
use crate::asking::Asking;
use filch_sched::task::JoinError;
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll};

macro_rules! tuple {
    ($($name:ident)*) => {
        #[allow(non_snake_case, reason = "the names of the types are those of the values")]
        const _: () = {
            impl<$($name),*> Children for ($($name,)*)
            where
                $($name: Future<Output: Send + 'static> + Send + 'static,)*
            {
                type Outputs = ($($name::Output,)*);
                type Results = ($(Result<$name::Output, JoinError>,)*);
                type Tasks = ($(Slot<$name::Output>,)*);

                fn spawn(self, location: &'static Location<'static>) -> Self::Tasks {
                    let ($($name,)*) = self;
                    ($(Slot::Running(spawn_at($name, location)),)*)
                }
            }

            impl<$($name),*> Tasks for ($(Slot<$name>,)*) {
                type Outputs = ($($name,)*);
                type Results = ($(Result<$name, JoinError>,)*);

                fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
                    let ($($name,)*) = self;
                    let mut polled = Poll::Ready(());
                    $(if $name.poll(cx).is_pending() {
                        polled = Poll::Pending;
                    })*
                    polled
                }

                fn cancel_all(&self, asking: &mut Asking) {
                    let ($($name,)*) = self;
                    $($name.cancel(asking);)*
                }

                fn disown_all(&self, asking: &mut Asking) {
                    let ($($name,)*) = self;
                    $($name.disown(asking);)*
                }

                fn take_panic(&mut self) -> Option<JoinError> {
                    let ($($name,)*) = self;
                    None$(.or_else(|| $name.take_panic()))*
                }

                fn has_cancelled(&self) -> bool {
                    let ($($name,)*) = self;
                    false $(|| $name.is_cancelled())*
                }

                fn has_aborted(&self) -> bool {
                    let ($($name,)*) = self;
                    false $(|| $name.is_aborted())*
                }

                fn each_error(self, each: &mut dyn FnMut(JoinError)) {
                    let ($(mut $name,)*) = self;
                    $($name.take_error().map(&mut *each);)*
                }

                fn outputs(self) -> Self::Outputs {
                    let ($($name,)*) = self;
                    ($($name.output(),)*)
                }

                fn results(self) -> Self::Results {
                    let ($($name,)*) = self;
                    ($($name.result(),)*)
                }
            }
        };
    };
}

/// The same of children that may fail: with the types of their values.
macro_rules! try_tuple {
    ($($name:ident $value:ident)*) => {
        #[allow(non_snake_case, reason = "the names of the types are those of the values")]
        const _: () = {
            impl<Error, $($name, $value),*> TryChildren for ($($name,)*)
            where
                Error: Send + 'static,
                $(
                    $value: Send + 'static,
                    $name: Future<Output = Result<$value, Error>> + Send + 'static,
                )*
            {
                type Values = ($($value,)*);
                type Error = Error;

                fn spawn_to_try(self, location: &'static Location<'static>) -> Self::Tasks {
                    self.spawn(location)
                }

                fn take_failure(tasks: &mut Self::Tasks) -> Option<Failure<Error>> {
                    let ($($name,)*) = tasks;
                    None$(.or_else(|| $name.take_failure()))*
                }

                fn values(tasks: Self::Tasks) -> Self::Values {
                    let ($($name,)*) = tasks;
                    ($($name.value(),)*)
                }
            }
        };
    };
}

macro_rules! tuples {
    ($(($($name:ident $value:ident)*))*) => {
        $(
            tuple!($($name)*);
            try_tuple!($($name $value)*);
        )*
    };
}

tuples! {
    (A TA)
    (A TA B TB)
    (A TA B TB C TC)
    (A TA B TB C TC D TD)
    (A TA B TB C TC D TD E TE)
    (A TA B TB C TC D TD E TE F TF)
    (A TA B TB C TC D TD E TE F TF G TG)
    (A TA B TB C TC D TD E TE F TF G TG H TH)
    (A TA B TB C TC D TD E TE F TF G TG H TH I TI)
    (A TA B TB C TC D TD E TE F TF G TG H TH I TI J TJ)
    (A TA B TB C TC D TD E TE F TF G TG H TH I TI J TJ K TK)
    (A TA B TB C TC D TD E TE F TF G TG H TH I TI J TJ K TK L TL)
}
