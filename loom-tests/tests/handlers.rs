//! What signals' handlers read: nothing is freed while one looks at it, and each signal is told to who listens, or passed
//! on, or does what it does by itself, though listeners come and go meanwhile.
#![cfg(filch_loom)]

use filch::models::{Action, Board, Machine};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A number that whoever has it alone writes to.
struct Shown(UnsafeCell<u32>);

// SAFETY: that is what is tried here.
unsafe impl Sync for Shown {}

fn shown(number: u32) -> Shown {
    Shown(UnsafeCell::new(number))
}

/// The owner of what was replaced has it alone: a handler has looked before that, or finds another.
#[test]
fn what_is_read_is_not_freed() {
    loom::model(|| {
        let board = Arc::new(Board::default());
        assert!(board.replace(Some(shown(1))).is_none());
        let readers: [_; 2] = std::array::from_fn(|_| {
            let board = board.clone();
            thread::spawn(move || {
                board.read(|shown| {
                    let Some(shown) = shown else { return 0 };
                    // SAFETY: it is not written to while it is read, if all is well.
                    shown.0.with(|number| unsafe { *number })
                })
            })
        });
        let old = board.replace(Some(shown(2))).expect("it was there");
        // It is there until the readers are done, so that a model that fails does so by this.
        // SAFETY: nobody else has it, if all is well.
        old.0.with_mut(|number| unsafe { *number = 3 });
        for reader in readers {
            assert!([1, 2].contains(&reader.join().unwrap()));
        }
        assert!(board.replace(None).is_some());
    });
}

/// A handler that was there before is called for each signal, once, whoever comes or goes; and nobody is told who has
/// gone.
#[test]
fn an_earlier_handler_hears_of_each() {
    loom::model(|| {
        let machine = Arc::new(Machine::new(Action::Other));
        let sender = {
            let machine = machine.clone();
            thread::spawn(move || machine.deliver())
        };
        machine.add(0);
        machine.remove(0);
        sender.join().unwrap();
        assert_eq!(machine.called(), 1);
        assert_eq!(machine.install(Action::Default), Action::Other);
    });
}

/// Without one the listener is told, or the default comes to pass, and nothing is lost in between.
#[test]
fn the_last_one_goes_while_a_signal_comes() {
    loom::model(|| {
        let machine = Arc::new(Machine::new(Action::Default));
        machine.add(0);
        let sender = {
            let machine = machine.clone();
            thread::spawn(move || machine.deliver())
        };
        machine.remove(0);
        sender.join().unwrap();
        assert_eq!(machine.told(0) + machine.died(), 1);
        assert_eq!(machine.install(Action::Default), Action::Default);
    });
}

/// Who listens already hears of each, once, though another one comes and goes.
#[test]
fn another_one_comes_and_goes() {
    loom::model(|| {
        let machine = Arc::new(Machine::new(Action::Default));
        machine.add(0);
        let sender = {
            let machine = machine.clone();
            thread::spawn(move || machine.deliver())
        };
        machine.add(1);
        machine.remove(1);
        sender.join().unwrap();
        assert_eq!((machine.told(0), machine.died()), (1, 0));
    });
}

/// Our handler was put back when nobody listened any more. A signal gives it up, and a new listener hears all the same.
#[test]
fn a_new_listener_while_the_handler_gives_up() {
    loom::model(|| {
        let machine = Arc::new(Machine::new(Action::Default));
        machine.add(0);
        machine.remove(0);
        machine.install(Action::Ours);
        let sender = {
            let machine = machine.clone();
            thread::spawn(move || machine.deliver())
        };
        machine.add(1);
        sender.join().unwrap();
        assert_eq!(machine.told(1) + machine.died(), 1);
        machine.deliver();
        assert_eq!(machine.told(1) + machine.died(), 2);
        assert!(machine.told(1) >= 1, "it listens");
    });
}

/// A handler that the program installs while the last listener goes is there in the end.
#[test]
fn another_handler_comes_while_the_last_one_goes() {
    loom::model(|| {
        let machine = Arc::new(Machine::new(Action::Default));
        machine.add(0);
        let program = {
            let machine = machine.clone();
            thread::spawn(move || {
                machine.install(Action::Other);
            })
        };
        machine.remove(0);
        program.join().unwrap();
        assert_eq!(machine.install(Action::Default), Action::Other);
    });
}

/// One that the program takes out again meanwhile is not.
#[test]
fn another_handler_comes_and_goes_while_the_last_one_goes() {
    loom::model(|| {
        let machine = Arc::new(Machine::new(Action::Default));
        machine.add(0);
        let comes = {
            let machine = machine.clone();
            thread::spawn(move || machine.install(Action::Other))
        };
        // A thread of its own: so it takes fewer preemptions.
        let goes = {
            let machine = machine.clone();
            thread::spawn(move || machine.install(comes.join().unwrap()))
        };
        machine.remove(0);
        goes.join().unwrap();
        machine.deliver();
        assert_eq!((machine.called(), machine.died()), (0, 1));
    });
}

/// One that comes while a listener comes is called, for each signal once, and is there in the end.
#[test]
fn another_handler_comes_while_a_listener_comes() {
    loom::model(|| {
        let machine = Arc::new(Machine::new(Action::Default));
        let program = {
            let machine = machine.clone();
            thread::spawn(move || {
                machine.install(Action::Other);
            })
        };
        machine.add(0);
        program.join().unwrap();
        machine.deliver();
        assert_eq!(machine.called(), 1);
        machine.remove(0);
        assert_eq!(machine.install(Action::Default), Action::Other);
    });
}

/// Our handler was put back when nobody listened any more. While a signal gives it up the program installs its own: that
/// stays, and has the signal, but where our handler finds it there at once, as if it had called ours.
#[test]
fn another_handler_comes_while_the_handler_gives_up() {
    loom::model(|| {
        let machine = Arc::new(Machine::new(Action::Default));
        machine.add(0);
        machine.remove(0);
        machine.install(Action::Ours);
        let sender = {
            let machine = machine.clone();
            thread::spawn(move || machine.deliver())
        };
        machine.install(Action::Other);
        sender.join().unwrap();
        assert_eq!(machine.called() + machine.died() + machine.left_to_another(), 1);
        assert_eq!(machine.install(Action::Default), Action::Other);
    });
}
