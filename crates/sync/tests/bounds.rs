//! Where the types may go: what is `Send`, `Sync` and `Unpin`, and above all what is not.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_sync::queue::{Duty, Get, GetRaw, IntoStream, Lease, Put, Reserve, Slot};
use filch_sync::*;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::MutexGuard;

/// May go to another thread, and not be seen by two.
type Sent = Cell<u32>;
/// Bound to its thread.
type Bound = Rc<u32>;
/// May be seen by other threads, and not go there.
type Seen = MutexGuard<'static, u32>;

macro_rules! is {
    ($trait:ident: $($type:ty),* $(,)?) => { $( const _: () = {
        const fn holds<T: $trait + ?Sized>() {}
        holds::<$type>();
    }; )* };
}

/// Does not compile if one of the types has the trait: then there are two ways to call the function.
macro_rules! is_not {
    ($trait:ident: $($type:ty),* $(,)?) => { $( const _: fn() = || {
        trait Ambiguous<A> {
            fn call() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: $trait + ?Sized> Ambiguous<u8> for T {}
        <$type as Ambiguous<_>>::call();
    }; )* };
}

// A lock makes a value that may be sent one that may be shared. Its guards lend `&T`.
is!(Send: Lock<Sent>, Guard<'static, Sent>, OwnedGuard<Sent>, Acquire<'static, Sent>, AcquireOwned<Sent>);
is!(Sync: Lock<Sent>, Guard<'static, u32>, OwnedGuard<u32>, Acquire<'static, Sent>, AcquireOwned<Sent>);
is_not!(Send: Lock<Bound>, Guard<'static, Bound>, OwnedGuard<Bound>, Acquire<'static, Bound>, AcquireOwned<Bound>);
is_not!(Sync: Lock<Bound>, Guard<'static, Sent>, OwnedGuard<Sent>, Acquire<'static, Bound>);
// A shared guard shows its lock (`Guard::source`), from which another thread could take the value.
is_not!(Sync: Lock<Seen>, Guard<'static, Seen>, OwnedGuard<Seen>);
is_not!(Send: Lock<Seen>, Guard<'static, Seen>, OwnedGuard<Seen>);

is!(Send: RwLock<Sent>, ReadGuard<'static, u32>, WriteGuard<'static, u32>, OwnedReadGuard<u32>, OwnedWriteGuard<u32>);
is!(Sync: RwLock<u32>, ReadGuard<'static, u32>, WriteGuard<'static, u32>, OwnedReadGuard<u32>, OwnedWriteGuard<u32>);
is!(Send: AcquireRead<'static, u32>, AcquireWrite<'static, u32>, AcquireReadOwned<u32>, AcquireWriteOwned<u32>);
is_not!(Sync: RwLock<Sent>, RwLock<Bound>, RwLock<Seen>);
is_not!(Send: ReadGuard<'static, Sent>, WriteGuard<'static, Sent>, OwnedReadGuard<Sent>, OwnedWriteGuard<Sent>);
is_not!(Sync: ReadGuard<'static, Sent>, WriteGuard<'static, Sent>, OwnedReadGuard<Sent>, OwnedWriteGuard<Sent>);
is_not!(Send: ReadGuard<'static, Seen>, WriteGuard<'static, Seen>, OwnedReadGuard<Seen>, OwnedWriteGuard<Seen>);
is_not!(Sync: ReadGuard<'static, Seen>, WriteGuard<'static, Seen>, OwnedReadGuard<Seen>, OwnedWriteGuard<Seen>);

is!(Send: Semaphore, BoundedSemaphore, Permit<'static>, OwnedPermit, AcquirePermits<'static>, AcquirePermitsOwned);
is!(Sync: Semaphore, BoundedSemaphore, Permit<'static>, OwnedPermit);
is!(Send: Event, EventWait<'static>, OwnedEventWait, Barrier, BarrierWait<'static>, Condition);
is!(Sync: Event, Barrier, Condition);
is!(Send: ConditionWait<'static, 'static, Sent>);
is_not!(Send: ConditionWait<'static, 'static, Bound>);

// An item is one consumer's at a time.
is!(Send: Queue<Sent>, LifoQueue<Sent>, PriorityQueue<Sent>, Lease<Sent>, Duty<Sent>, Slot<Sent>, IntoStream<Sent>);
is!(Sync: Queue<Sent>, LifoQueue<Sent>, PriorityQueue<Sent>, Lease<u32>, Duty<Sent>, Slot<Sent>);
is!(Send: Get<'static, Sent>, GetRaw<'static, Sent>, Put<'static, Sent>, Reserve<'static, Sent>);
is_not!(Sync: Lease<Sent>, Lease<Seen>, Queue<Bound>, Queue<Seen>);
is_not!(Send: Queue<Bound>, Lease<Bound>, Duty<Bound>, Slot<Bound>, IntoStream<Bound>, Queue<Seen>);
is_not!(Send: Get<'static, Bound>, GetRaw<'static, Bound>, Put<'static, Bound>, Reserve<'static, Bound>);

is!(Send: Setter<Sent>, Promise<Sent>, PromiseDropped<'static, Sent>);
is!(Sync: Setter<Sent>, Promise<Sent>);
is_not!(Send: Setter<Bound>, Promise<Bound>, Setter<Seen>, Promise<Seen>, PromiseDropped<'static, Bound>);
is_not!(Sync: Setter<Bound>, Promise<Bound>, Setter<Seen>, Promise<Seen>);

// Many see the value, and any of them may be the one that drops it.
is!(Send: SharedSetter<u32>, SharedPromise<u32>, WatchSender<u32>, Watch<u32>, BroadcastSender<u32>, Broadcast<u32>);
is!(Sync: SharedSetter<u32>, SharedPromise<u32>, WatchSender<u32>, Watch<u32>, BroadcastSender<u32>, Broadcast<u32>);
is_not!(Send: SharedSetter<Sent>, SharedPromise<Sent>, WatchSender<Sent>, Watch<Sent>);
is_not!(Send: SharedSetter<Seen>, SharedPromise<Seen>, WatchSender<Seen>, Watch<Seen>);
is_not!(Send: BroadcastSender<Sent>, Broadcast<Sent>, BroadcastSender<Seen>, Broadcast<Seen>);
is_not!(Sync: SharedPromise<Sent>, SharedPromise<Seen>, Watch<Sent>, Watch<Seen>, Broadcast<Sent>);
// It holds up the thread that changes the value, so it must not go along with a task.
is_not!(Send: WatchRef<'static, u32>);

is!(Send: OnceCell<Sent>);
is!(Sync: OnceCell<u32>);
is_not!(Send: OnceCell<Bound>, OnceCell<Seen>);
is_not!(Sync: OnceCell<Sent>, OnceCell<Seen>, OnceCell<Bound>);

// Others point into a future that waits.
is_not!(Unpin: Acquire<'static, u32>, AcquireOwned<u32>, AcquireRead<'static, u32>, AcquireWrite<'static, u32>);
is_not!(Unpin: AcquireReadOwned<u32>, AcquireWriteOwned<u32>, AcquirePermits<'static>, AcquirePermitsOwned);
is_not!(Unpin: EventWait<'static>, OwnedEventWait, BarrierWait<'static>, ConditionWait<'static, 'static, u32>);
is_not!(Unpin: Get<'static, u32>, GetRaw<'static, u32>, Put<'static, u32>, Reserve<'static, u32>, queue::Join<'static>);
// Except where it points into a box.
is!(Unpin: IntoStream<u32>, Promise<u32>, Promise<std::marker::PhantomPinned>);

/// What the guard's bound is for: through a guard that it merely sees, a thread would get at the lock itself,
/// and keep that for after the guard.
#[test]
fn a_shared_guard_shows_the_lock_as_long_as_the_lock_is_there() {
    static LOCK: Lock<u32> = Lock::new(1);
    let guard = LOCK.try_lock().expect("nobody has it");
    let lock: &'static Lock<u32> = Guard::source(&guard);
    drop(guard);
    assert_eq!(lock.try_lock().as_deref(), Some(&1));
}
