//! What can be raced.

use filch_sched::scope::Part;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Futures that a [`race`](super::race) can be of: a tuple of up to twelve, an array, or a `Vec`, all with the same
/// kind of output.
///
/// Nobody else implements it.
pub trait Arms {
    /// What each of them yields.
    type Output;
    #[doc(hidden)]
    type Parts: Parts<Output = Self::Output>;
    #[doc(hidden)]
    fn into_parts(self) -> Self::Parts;
}

/// Arms that run.
pub trait Parts {
    /// See [`Arms`].
    type Output;
    /// What the first yields that is ready.
    fn poll_first(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output>;
    /// Ends all others. Ready when they have ended.
    fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

/// One arm.
#[derive(Debug)]
pub struct Arm<F> {
    /// Pinned with the whole.
    part: Part<F>,
    is_over: bool,
}

impl<F: Future> Arm<F> {
    fn new(future: F) -> Self {
        Self { part: Part::new(future), is_over: false }
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (part, is_over) = self.project();
        let polled = part.poll(&(), cx);
        *is_over = polled.is_ready();
        polled
    }

    fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (part, is_over) = self.project();
        if !*is_over {
            *is_over = part.poll_end(cx).is_ready();
        }
        if *is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    fn project(self: Pin<&mut Self>) -> (Pin<&mut Part<F>>, &mut bool) {
        // SAFETY: `part` is pinned when the whole is: it is not moved out of the reference got here, there is no
        // `Drop` impl, and the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        (unsafe { Pin::new_unchecked(&mut this.part) }, &mut this.is_over)
    }
}

macro_rules! tuple {
    ($first:ident $($name:ident)*) => {
        #[allow(non_snake_case, reason = "the names of the types are those of the values")]
        const _: () = {
            impl<$first, $($name),*> Arms for ($first, $($name,)*)
            where
                $first: Future,
                $($name: Future<Output = $first::Output>,)*
            {
                type Output = $first::Output;
                type Parts = (Arm<$first>, $(Arm<$name>,)*);

                fn into_parts(self) -> Self::Parts {
                    let ($first, $($name,)*) = self;
                    (Arm::new($first), $(Arm::new($name),)*)
                }
            }

            impl<$first, $($name),*> Parts for (Arm<$first>, $(Arm<$name>,)*)
            where
                $first: Future,
                $($name: Future<Output = $first::Output>,)*
            {
                type Output = $first::Output;

                fn poll_first(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                    // SAFETY: each arm is pinned when the tuple is: none is moved out of the reference got here,
                    // and a tuple has no `Drop` impl of its own.
                    let ($first, $($name,)*) = unsafe { self.get_unchecked_mut() };
                    // SAFETY: as above.
                    if let Poll::Ready(output) = unsafe { Pin::new_unchecked($first) }.poll(cx) {
                        return Poll::Ready(output);
                    }
                    $(
                        // SAFETY: as above.
                        if let Poll::Ready(output) = unsafe { Pin::new_unchecked($name) }.poll(cx) {
                            return Poll::Ready(output);
                        }
                    )*
                    Poll::Pending
                }

                fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                    // SAFETY: as above.
                    let ($first, $($name,)*) = unsafe { self.get_unchecked_mut() };
                    // SAFETY: as above. All are asked, whoever is not over yet.
                    let all = unsafe { Pin::new_unchecked($first) }.poll_end(cx).is_ready();
                    $(
                        // SAFETY: as above.
                        let all = all & unsafe { Pin::new_unchecked($name) }.poll_end(cx).is_ready();
                    )*
                    if all { Poll::Ready(()) } else { Poll::Pending }
                }
            }
        };
    };
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {
        $(tuple!($($name)*);)*
    };
}

tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
    (A B C D E F G H I)
    (A B C D E F G H I J)
    (A B C D E F G H I J K)
    (A B C D E F G H I J K L)
}

/// Arms in a row, in a box of their own.
#[derive(Debug)]
pub struct Row<F>(Pin<Box<[Arm<F>]>>);

impl<F: Future> Row<F> {
    fn new(arms: impl Iterator<Item = F>) -> Self {
        let arms: Box<[_]> = arms.map(Arm::new).collect();
        assert!(!arms.is_empty(), "a race of nobody has no winner");
        Self(Box::into_pin(arms))
    }

    fn iter(&mut self) -> impl Iterator<Item = Pin<&mut Arm<F>>> {
        // SAFETY: each arm is pinned when the slice is: none is moved out of the references got here.
        let arms = unsafe { self.0.as_mut().get_unchecked_mut() };
        // SAFETY: as above.
        arms.iter_mut().map(|arm| unsafe { Pin::new_unchecked(arm) })
    }
}

impl<F: Future> Parts for Row<F> {
    type Output = F::Output;

    fn poll_first(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        for arm in self.iter() {
            if let Poll::Ready(output) = arm.poll(cx) {
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    }

    fn poll_end(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // All are asked, whoever is not over yet.
        let all = self.iter().fold(true, |all, arm| all & arm.poll_end(cx).is_ready());
        if all { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<F: Future> Arms for Vec<F> {
    type Output = F::Output;
    type Parts = Row<F>;

    fn into_parts(self) -> Row<F> {
        Row::new(self.into_iter())
    }
}

impl<F: Future, const N: usize> Arms for [F; N] {
    type Output = F::Output;
    type Parts = Row<F>;

    fn into_parts(self) -> Row<F> {
        Row::new(self.into_iter())
    }
}
