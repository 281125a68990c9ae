//! Who listens for a signal, and what becomes of one for which nobody does.

use super::{Changes, Posted};
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use std::io;
use std::os::fd::RawFd;

/// A handler does not go on for ever, whoever else changes what is installed.
const PUTS_BACK: usize = 4;

/// The system, as far as one signal is concerned. What the handler calls of it is fit for a handler.
pub(crate) trait System {
    /// What may be installed.
    type Action: Copy + PartialEq + Send + Sync;

    /// What is installed.
    fn installed(&self) -> io::Result<Self::Action>;

    /// Installs that, and puts what it displaces in its place: the stack for signals is small, an action is not, and so
    /// none is handed about by value in the handler.
    fn exchange(&self, action: &mut Self::Action) -> io::Result<()>;

    /// Whose that is.
    fn who(&self, action: &Self::Action) -> Who;

    /// Our handler, in the place of that.
    fn ours(&self, instead: &Self::Action) -> Self::Action;

    /// What the system does by itself.
    fn default(&self) -> Self::Action;

    /// What `run` has for it by now: its handler, or the default if its main future is over. With the right to change it.
    fn of_run(&self, changes: &Changes<'_>) -> Self::Action;

    /// Asks the main future of `run` to end, if there is one to be asked.
    fn ask_main(&self) -> bool;

    /// Tells a listener.
    fn tell(&self, listener: RawFd);

    /// Sends the signal again: it comes when the handler returns.
    fn raise(&self);

    /// Which process this is.
    fn process(&self) -> u32;

    /// Installs that in the place of what was found there. False if another has come in between, which stays; `None` if it
    /// cannot be done. In the handler, too.
    fn displace(&self, due: &Self::Action, found: Who) -> Option<bool> {
        let mut former = *due;
        self.exchange(&mut former).ok()?;
        if self.who(&former) == found {
            return Some(true);
        }
        (former == *due || self.put_back(&mut former, due)).then_some(false)
    }

    /// Installs that again, which was displaced by `put`, until what comes off is what was put there: whoever came may have
    /// gone meanwhile, or another may have come. False if it cannot be done.
    fn put_back(&self, former: &mut Self::Action, put: &Self::Action) -> bool {
        let mut put = *put;
        for _ in 0..PUTS_BACK {
            let next = *former;
            match self.exchange(former) {
                Ok(()) if *former == put => break,
                Ok(()) => {}
                Err(_) => return false,
            }
            put = next;
        }
        true
    }
}

/// Whose an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Nobody's: the system's own.
    Default,
    /// Nobody's: nothing happens.
    Ignored,
    /// The handler that tells listeners.
    Ours,
    /// The handler of `run`.
    Run,
    /// Somebody else's handler.
    Other {
        /// It is to be called once; then the default is to be in its place.
        once: bool,
    },
}

/// One signal: who listens for it.
#[derive(Debug)]
pub(crate) struct Slot<A> {
    list: Posted<List<A>>,
    /// The earlier handler was to be called once, and has been.
    is_spent: AtomicBool,
}

#[derive(Debug, Clone)]
struct List<A> {
    listeners: Vec<RawFd>,
    /// What was installed before our handler.
    earlier: A,
    /// The last listener has gone, and `earlier` is in its place again.
    is_over: bool,
    /// A child, between its fork and its program, has the same descriptors, and is not the one to be told.
    process: u32,
}

impl<A> Slot<A> {
    /// Nobody listens, and never did.
    #[cfg(not(filch_loom))]
    pub(crate) const fn new() -> Self {
        Self { list: Posted::nothing(), is_spent: AtomicBool::new(false) }
    }

    /// Nobody listens, and never did.
    #[cfg(filch_loom)]
    pub(crate) fn new() -> Self {
        Self { list: Posted::nothing(), is_spent: AtomicBool::new(false) }
    }
}

impl<A: Copy + PartialEq + Send + Sync> Slot<A> {
    /// Has the handler tell that listener at each signal.
    pub(crate) fn add(
        &self,
        system: &impl System<Action = A>,
        listener: RawFd,
        _changes: &Changes<'_>,
    ) -> io::Result<()> {
        let before = self.now();
        let mut listeners = before.as_ref().map_or_else(Vec::new, |list| list.listeners.clone());
        listeners.push(listener);
        let with = |earlier| {
            let (listeners, process) = (listeners.clone(), system.process());
            List { listeners, earlier, is_over: false, process }
        };
        if let Some(before) = &before {
            // Before the look at what is installed: a handler that finds nobody to tell may change that, and when this
            // returns there is none any more.
            self.put(Some(with(before.earlier)));
        }
        let installed = system.installed().and_then(|present| {
            match (system.who(&present), &before) {
                // Also if somebody has put it back after its time: what was before it is still that.
                (Who::Ours, Some(_)) => return Ok(()),
                // It may call ours, which is not to be on top of it then.
                (Who::Other { .. }, Some(before)) if !before.is_over => return Ok(()),
                _ => {}
            }
            // Relaxed: a handler that is late may call the one before once more or less.
            self.is_spent.store(false, Ordering::Relaxed);
            // Before the handler can run and look.
            self.put(Some(with(present)));
            let mut former = system.ours(&present);
            system.exchange(&mut former)?;
            // Another than was there at the look: that of `run` has become the default, say.
            if former != present && system.who(&former) != Who::Ours {
                self.put(Some(with(former)));
                // With what that one asked for. Who has come since is on top of ours, and stays.
                let _ = system.displace(&system.ours(&former), Who::Ours);
            }
            Ok(())
        });
        if installed.is_err() {
            self.put(before);
        }
        installed
    }

    /// Has the handler tell it no more. When this returns it does not, and will not.
    pub(crate) fn remove(
        &self,
        system: &impl System<Action = A>,
        listener: RawFd,
        changes: &Changes<'_>,
    ) {
        let Some(mut list) = self.now() else { return };
        list.listeners.retain(|&other| other != listener);
        // Somebody else's handler in its place may call ours: then that stays as it is, and passes on.
        let is_ours = || system.installed().is_ok_and(|present| system.who(&present) == Who::Ours);
        if list.listeners.is_empty() && is_ours() {
            let due = match self.earlier(system, &list) {
                Who::Default => system.default(),
                Who::Run => system.of_run(changes),
                _ => list.earlier,
            };
            // What was there before is installed again; if not, `nobody` sees to it.
            list.is_over = system.displace(&due, Who::Ours).unwrap_or(false);
        }
        // It stays, for those handlers that have begun, and have not looked yet: there is nobody to tell, and somebody
        // who was there before.
        self.put(Some(list));
    }

    /// What our handler does. Gives whom it has to call then.
    pub(crate) fn handle(&self, system: &impl System<Action = A>) -> Option<A> {
        self.list.read(|list| {
            let Some(list) = list else {
                self.nobody(system, Who::Default);
                return None;
            };
            if system.process() != list.process {
                // It is not us whom they have started: as if none of this were.
                return match self.call(system, list) {
                    Ok(earlier) => Some(earlier),
                    Err(Who::Ignored) => None,
                    Err(_) => {
                        self.nobody(system, Who::Default);
                        None
                    }
                };
            }
            for &listener in &list.listeners {
                system.tell(listener);
            }
            match self.call(system, list) {
                // By whoever reads no more: it is somebody else's, and may never return.
                Ok(earlier) => Some(earlier),
                Err(earlier) => {
                    if list.listeners.is_empty() {
                        // While this reads: who adds a listener waits for what it does.
                        self.nobody(system, earlier);
                    }
                    None
                }
            }
        })
    }

    /// Whom a handler has to call; or who was there before that is not called.
    fn call(&self, system: &impl System<Action = A>, list: &List<A>) -> Result<A, Who> {
        match system.who(&list.earlier) {
            // Relaxed: one of those who come takes it, and nothing is handed on.
            Who::Other { once: true } if self.is_spent.swap(true, Ordering::Relaxed) => {
                Err(Who::Default)
            }
            Who::Other { .. } => Ok(list.earlier),
            // Ours: nobody's, then, for it would be called by itself.
            Who::Ours => Err(Who::Default),
            who => Err(who),
        }
    }

    /// Who was there before, for who puts it back.
    fn earlier(&self, system: &impl System<Action = A>, list: &List<A>) -> Who {
        match system.who(&list.earlier) {
            // Relaxed: as in `call`.
            Who::Other { once: true } if self.is_spent.load(Ordering::Relaxed) => Who::Default,
            Who::Ours => Who::Default,
            who => who,
        }
    }

    /// There is no listener, and nobody was called, and yet the handler runs. In the handler.
    fn nobody(&self, system: &impl System<Action = A>, earlier: Who) {
        // By reference: the stack for signals is small, and an action is not.
        let present = match &system.installed() {
            Ok(present) => system.who(present),
            Err(_) => return,
        };
        match (earlier, present) {
            (Who::Ignored, _) | (_, Who::Ignored) => {}
            // Somebody has put it back who had displaced it while there was a listener. Then the signal does what it does
            // without us.
            (earlier, Who::Ours) => {
                // As behind the handler of `run`, too: the next one ends the process.
                match system.displace(&system.default(), Who::Ours) {
                    // Another one has come since, and is there: as if the signal had come after it.
                    Some(false) => system.raise(),
                    displaced => {
                        let is_asked = earlier == Who::Run && system.ask_main();
                        if displaced.is_some() && !is_asked {
                            system.raise();
                        }
                    }
                }
            }
            // The last listener has gone while this handler was on its way: as if the signal had come after that.
            (_, Who::Default | Who::Run) => system.raise(),
            // It passes on to ours, and has handled the signal. One that has not, since it came only now, cannot be told from it.
            (Who::Run, Who::Other { .. }) => drop(system.ask_main()),
            (_, Who::Other { .. }) => {}
        }
    }

    fn now(&self) -> Option<List<A>> {
        self.list.read(|list| list.cloned())
    }

    fn put(&self, list: Option<List<A>>) {
        drop(self.list.replace(list.map(Box::new)));
    }
}
