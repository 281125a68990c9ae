//! The futures of a reader-writer lock.

use super::{ALL, OwnedReadGuard, OwnedWriteGuard, ReadGuard, RwLock, WriteGuard};
use crate::permits::Acquiring;
use crate::wait_list::Site;
use filch_atomic::current::WaitKind;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pin_project! {
    /// The future of [`RwLock::read`].
    #[must_use = "a lock is not waited for unless this is awaited"]
    pub struct AcquireRead<'a, T: ?Sized> {
        #[pin]
        inner: Acquiring<&'a RwLock<T>>,
    }
}

impl<'a, T: ?Sized> AcquireRead<'a, T> {
    #[inline]
    #[track_caller]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        Self { inner: Acquiring::new(lock, 1, Site::here(WaitKind::Lock)) }
    }
}

impl<'a, T: ?Sized> Future for AcquireRead<'a, T> {
    type Output = ReadGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().inner.poll(cx);
        polled.map(|lock| ReadGuard::new(lock.expect("a lock is never closed")))
    }
}

impl<T: ?Sized> fmt::Debug for AcquireRead<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireRead").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`RwLock::write`].
    #[must_use = "a lock is not waited for unless this is awaited"]
    pub struct AcquireWrite<'a, T: ?Sized> {
        #[pin]
        inner: Acquiring<&'a RwLock<T>>,
    }
}

impl<'a, T: ?Sized> AcquireWrite<'a, T> {
    #[inline]
    #[track_caller]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        Self { inner: Acquiring::new(lock, ALL, Site::here(WaitKind::Lock)) }
    }
}

impl<'a, T: ?Sized> Future for AcquireWrite<'a, T> {
    type Output = WriteGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().inner.poll(cx);
        polled.map(|lock| WriteGuard::new(lock.expect("a lock is never closed")))
    }
}

impl<T: ?Sized> fmt::Debug for AcquireWrite<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireWrite").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`RwLock::read_owned`].
    #[must_use = "a lock is not waited for unless this is awaited"]
    pub struct AcquireReadOwned<T: ?Sized> {
        #[pin]
        inner: Acquiring<Arc<RwLock<T>>>,
    }
}

impl<T: ?Sized> AcquireReadOwned<T> {
    #[inline]
    #[track_caller]
    pub(super) fn new(lock: Arc<RwLock<T>>) -> Self {
        Self { inner: Acquiring::new(lock, 1, Site::here(WaitKind::Lock)) }
    }
}

impl<T: ?Sized> Future for AcquireReadOwned<T> {
    type Output = OwnedReadGuard<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().inner.poll(cx);
        polled.map(|lock| OwnedReadGuard::new(lock.expect("a lock is never closed")))
    }
}

impl<T: ?Sized> fmt::Debug for AcquireReadOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireReadOwned").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`RwLock::write_owned`].
    #[must_use = "a lock is not waited for unless this is awaited"]
    pub struct AcquireWriteOwned<T: ?Sized> {
        #[pin]
        inner: Acquiring<Arc<RwLock<T>>>,
    }
}

impl<T: ?Sized> AcquireWriteOwned<T> {
    #[inline]
    #[track_caller]
    pub(super) fn new(lock: Arc<RwLock<T>>) -> Self {
        Self { inner: Acquiring::new(lock, ALL, Site::here(WaitKind::Lock)) }
    }
}

impl<T: ?Sized> Future for AcquireWriteOwned<T> {
    type Output = OwnedWriteGuard<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().inner.poll(cx);
        polled.map(|lock| OwnedWriteGuard::new(lock.expect("a lock is never closed")))
    }
}

impl<T: ?Sized> fmt::Debug for AcquireWriteOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireWriteOwned").finish_non_exhaustive()
    }
}
