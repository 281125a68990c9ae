//! Signals' handlers: a machine with one signal, for which our handler, another one or none is installed.

use crate::handlers::{Changes, Posted, Slot, System, Who};
use filch_atomic::sync::Mutex;
use filch_atomic::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;

/// Something that is read while it may be replaced.
#[derive(Debug)]
pub struct Board<T>(Posted<T>);

impl<T: Send + Sync> Default for Board<T> {
    fn default() -> Self {
        Self(Posted::nothing())
    }
}

impl<T: Send + Sync> Board<T> {
    /// Looks at it.
    pub fn read<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        self.0.read(look)
    }

    /// Puts that in its place; gives what was there.
    pub fn replace(&self, new: Option<T>) -> Option<Box<T>> {
        self.0.replace(new.map(Box::new))
    }
}

/// What is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The default.
    Default,
    /// Our handler.
    Ours,
    /// A handler of the program's.
    Other,
}

/// One signal, and what came of it. There are two who may listen: 0 and 1.
#[derive(Debug)]
pub struct Machine {
    slot: Slot<Action>,
    installed: Mutex<Action>,
    changes: Mutex<()>,
    is_closed: [AtomicBool; 2],
    told: [AtomicUsize; 2],
    called: AtomicUsize,
    died: AtomicUsize,
    left_to_another: AtomicUsize,
}

impl Machine {
    /// With that installed, and nobody who listens.
    pub fn new(installed: Action) -> Self {
        Self {
            slot: Slot::new(),
            installed: Mutex::new(installed),
            changes: Mutex::new(()),
            is_closed: [AtomicBool::new(false), AtomicBool::new(false)],
            told: [AtomicUsize::new(0), AtomicUsize::new(0)],
            called: AtomicUsize::new(0),
            died: AtomicUsize::new(0),
            left_to_another: AtomicUsize::new(0),
        }
    }

    /// One listens from now on.
    pub fn add(&self, listener: usize) {
        let changes = Changes::of(&self.changes);
        self.slot.add(&Delivery::of(self), listener as RawFd, &changes).expect("it may");
    }

    /// It listens no more, and its descriptor is closed.
    pub fn remove(&self, listener: usize) {
        let changes = Changes::of(&self.changes);
        self.slot.remove(&Delivery::of(self), listener as RawFd, &changes);
        // Relaxed: whoever tells it now is too late whatever it sees.
        self.is_closed[listener].store(true, Ordering::Relaxed);
    }

    /// Somebody installs something; gives what it displaces.
    pub fn install(&self, action: Action) -> Action {
        std::mem::replace(&mut *self.installed.lock(), action)
    }

    /// The signal comes.
    pub fn deliver(&self) {
        let delivery = Delivery::of(self);
        loop {
            let installed = *self.installed.lock();
            // Relaxed, all: who looks at them has joined those who count.
            match installed {
                Action::Default => drop(self.died.fetch_add(1, Ordering::Relaxed)),
                Action::Other => drop(self.called.fetch_add(1, Ordering::Relaxed)),
                Action::Ours => {
                    if let Some(earlier) = self.slot.handle(&delivery) {
                        assert_eq!(earlier, Action::Other);
                        // Relaxed: as above.
                        self.called.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            if !delivery.again.take() {
                return;
            }
        }
    }

    /// How often a listener was told.
    pub fn told(&self, listener: usize) -> usize {
        // Relaxed: as in `deliver`.
        self.told[listener].load(Ordering::Relaxed)
    }

    /// How often the program's handler was called.
    pub fn called(&self) -> usize {
        // Relaxed: as in `deliver`.
        self.called.load(Ordering::Relaxed)
    }

    /// How often the default came to pass.
    pub fn died(&self) -> usize {
        // Relaxed: as in `deliver`.
        self.died.load(Ordering::Relaxed)
    }

    /// How often it was found that the program's handler was installed.
    pub fn left_to_another(&self) -> usize {
        // Relaxed: as in `deliver`.
        self.left_to_another.load(Ordering::Relaxed)
    }
}

/// A thread that may be in the handler.
struct Delivery<'a> {
    machine: &'a Machine,
    /// It was sent again meanwhile.
    again: Cell<bool>,
}

impl<'a> Delivery<'a> {
    fn of(machine: &'a Machine) -> Self {
        Self { machine, again: Cell::new(false) }
    }
}

impl System for Delivery<'_> {
    type Action = Action;

    fn installed(&self) -> io::Result<Action> {
        let installed = *self.machine.installed.lock();
        if installed == Action::Other {
            // Relaxed: as in `deliver`.
            self.machine.left_to_another.fetch_add(1, Ordering::Relaxed);
        }
        Ok(installed)
    }

    fn exchange(&self, action: &mut Action) -> io::Result<()> {
        *action = self.machine.install(*action);
        Ok(())
    }

    fn who(&self, action: &Action) -> Who {
        match action {
            Action::Default => Who::Default,
            Action::Ours => Who::Ours,
            Action::Other => Who::Other { once: false },
        }
    }

    fn ours(&self, _: &Action) -> Action {
        Action::Ours
    }

    fn default(&self) -> Action {
        Action::Default
    }

    fn of_run(&self, _: &Changes<'_>) -> Action {
        unreachable!("no `run` in this model")
    }

    fn ask_main(&self) -> bool {
        unreachable!("no `run` in this model")
    }

    fn tell(&self, listener: RawFd) {
        let listener = listener as usize;
        // Relaxed: as in `remove`.
        assert!(!self.machine.is_closed[listener].load(Ordering::Relaxed), "it is closed");
        // Relaxed: as in `deliver`.
        self.machine.told[listener].fetch_add(1, Ordering::Relaxed);
    }

    fn raise(&self) {
        self.again.set(true);
    }

    fn process(&self) -> u32 {
        1
    }
}
