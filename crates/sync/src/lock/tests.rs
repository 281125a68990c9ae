mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll<F: Future + Unpin>(future: &mut F, count: &Arc<Count>) -> Poll<F::Output> {
        let waker = Waker::from(count.clone());
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn it_is_handed_over_in_order_and_nobody_gets_in_between() {
        let lock = Lock::new(());
        let held = lock.try_lock().unwrap();
        let counts: Vec<_> = (0..3).map(|_| Arc::new(Count::default())).collect();
        let mut waiters: Vec<_> = (0..3).map(|_| lock.lock()).collect();
        for (waiter, count) in waiters.iter_mut().zip(&counts) {
            assert!(poll(waiter, count).is_pending());
        }
        drop(held);
        assert_eq!(counts[0].0.load(Ordering::Relaxed), 1);
        assert!(lock.try_lock().is_none(), "it belongs to the first waiter");
        assert!(poll(&mut waiters[1], &counts[1]).is_pending());
        let Poll::Ready(first) = poll(&mut waiters[0], &counts[0]) else {
            panic!("it was granted")
        };
        drop(first);
        assert!(poll(&mut waiters[1], &counts[1]).is_ready());
        assert!(poll(&mut waiters[2], &counts[2]).is_ready());
        assert!(!lock.is_locked());
    }

    #[test]
    fn a_waiter_that_goes_leaves_nothing_and_hands_on_what_it_was_given() {
        let lock = Lock::new(());
        let held = lock.try_lock().unwrap();
        let count = Arc::new(Count::default());
        let (mut first, mut second, mut third) = (lock.lock(), lock.lock(), lock.lock());
        for waiter in [&mut first, &mut second, &mut third] {
            assert!(poll(waiter, &count).is_pending());
        }
        drop(second);
        drop(held);
        drop(first);
        assert_eq!(count.0.load(Ordering::Relaxed), 2, "the first, then the third");
        assert!(poll(&mut third, &count).is_ready());
        assert!(!lock.is_locked());
        assert_eq!(Arc::strong_count(&count), 1, "no waker stayed behind");
    }

    #[test]
    fn the_waker_of_the_last_poll_is_woken() {
        let lock = Lock::new(());
        let held = lock.try_lock().unwrap();
        let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut waiter = pin!(lock.lock());
        assert!(poll(&mut waiter, &old).is_pending());
        assert!(poll(&mut waiter, &new).is_pending());
        drop(held);
        assert_eq!(old.0.load(Ordering::Relaxed), 0);
        assert_eq!(new.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_task_that_has_had_its_turn_keeps_its_place() {
        use filch_atomic::current::{BUDGET, WaitRecord, enter, poll_proceed};
        let lock = Lock::new(());
        let count = Arc::new(Count::default());
        let record = WaitRecord::new();
        let (mut free, mut waits) = (lock.lock(), lock.lock());
        let turn = || {
            let waker = Waker::from(count.clone());
            let mut cx = Context::from_waker(&waker);
            for _ in 0..BUDGET {
                assert!(poll_proceed(&mut cx).is_ready());
            }
            assert!(
                poll(&mut free, &count).is_pending(),
                "it is free, but this task has had its turn"
            );
            assert!(poll(&mut waits, &count).is_pending());
        };
        // SAFETY: null.
        unsafe { enter(std::ptr::null(), &record, turn) };
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the first comes again by itself");
        assert!(lock.try_lock().is_none());
        let Poll::Ready(guard) = poll(&mut free, &count) else { panic!("it was kept for it") };
        drop(guard);
        assert!(poll(&mut waits, &count).is_ready());
    }

    #[test]
    fn threads_exclude_each_other() {
        let lock = Arc::new(Lock::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let lock = lock.clone();
                std::thread::spawn(move || {
                    for _ in 0..2_000 {
                        struct Unpark(std::thread::Thread);
                        impl Wake for Unpark {
                            fn wake(self: Arc<Self>) {
                                self.0.unpark();
                            }
                        }
                        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
                        let mut cx = Context::from_waker(&waker);
                        let mut acquire = pin!(lock.lock());
                        let mut guard = loop {
                            match acquire.as_mut().poll(&mut cx) {
                                Poll::Ready(guard) => break guard,
                                Poll::Pending => std::thread::park(),
                            }
                        };
                        let read = *guard;
                        std::hint::spin_loop();
                        *guard = read + 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(Arc::into_inner(lock).unwrap().into_inner(), 8_000);
    }
}
