//! The wheel against a sorted map.

use super::{Count, Note};
use crate::timer::wheel::{Gone, Key, LAST_TICK, Wheel};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// A waker that writes down its number when it is woken.
struct Notes(Arc<Mutex<Vec<usize>>>);

impl Notes {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn waker(&self, number: usize) -> Waker {
        Waker::from(Arc::new(Note(number, self.0.clone())))
    }

    /// Expires, wakes, and returns the numbers woken, in order.
    fn expire(&self, wheel: &mut Wheel, now: u64, limit: usize) -> (Vec<usize>, bool) {
        let mut due = Vec::new();
        let all = wheel.expire(now, &mut due, limit);
        due.into_iter().for_each(Waker::wake);
        (std::mem::take(&mut *self.0.lock().unwrap()), all)
    }
}

/// A small generator of numbers that are the same at each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

#[test]
fn around_every_border_between_levels_nothing_is_early_or_late() {
    let notes = Notes::new();
    for start in [0, 1, 63, 64, 4_095, (1 << 36) - 2, (1 << 36) + 5, 3 << 36] {
        for level in 0..=6 {
            for offset in [-1, 0, 1] {
                let wait = (1u64 << (6 * level)).saturating_add_signed(offset).max(1);
                let mut wheel = Wheel::new();
                notes.expire(&mut wheel, start, usize::MAX);
                wheel.insert(start + wait, notes.waker(1));
                assert_eq!(
                    wheel.next_tick(),
                    Some(start + wait),
                    "one entry's tick is told exactly"
                );
                assert_eq!(notes.expire(&mut wheel, start + wait - 1, usize::MAX), (vec![], true));
                assert_eq!(wheel.len(), 1);
                assert_eq!(notes.expire(&mut wheel, start + wait, usize::MAX), (vec![1], true));
                assert!(wheel.is_empty());
            }
        }
    }
}

#[test]
fn an_entry_goes_down_all_levels_a_tick_at_a_time() {
    let notes = Notes::new();
    let mut wheel = Wheel::new();
    // Digits 1 to 6 in base 64: it lies in every level once.
    let tick = (1..=6).fold(0, |tick, digit| tick << 6 | digit);
    wheel.insert(tick, notes.waker(1));
    for level in (0..6).rev() {
        let border = tick & !((1 << (6 * level)) - 1);
        for now in border.saturating_sub(2)..border {
            assert_eq!(notes.expire(&mut wheel, now, usize::MAX), (vec![], true));
        }
        let due = if level == 0 { vec![1] } else { vec![] };
        assert_eq!(notes.expire(&mut wheel, border, usize::MAX), (due, true));
    }
}

#[test]
fn the_farthest_tick_waits_beyond_all_rotations() {
    let notes = Notes::new();
    let mut wheel = Wheel::new();
    let key = wheel.insert(u64::MAX, notes.waker(1));
    wheel.insert(3 << 36, notes.waker(2));
    for rotation in 1..=3 {
        let (woken, _) = notes.expire(&mut wheel, rotation << 36, usize::MAX);
        assert_eq!(woken, if rotation == 3 { vec![2] } else { vec![] });
    }
    assert_eq!(notes.expire(&mut wheel, 1_000 << 36, usize::MAX), (vec![], true));
    assert!(wheel.remove(key).is_some());
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_tick(), None);
}

#[test]
fn a_key_names_its_own_entry_only() {
    let count = Count::new();
    let waker = Waker::from(count);
    let mut wheel = Wheel::new();
    let first = wheel.insert(5, waker.clone());
    assert!(wheel.remove(first).is_some());
    let second = wheel.insert(6, waker.clone());
    assert_ne!(first, second);
    assert!(wheel.remove(first).is_none());
    assert_eq!(wheel.wakes(first, &waker), Err(Gone));
    assert_eq!(wheel.reschedule(first, 9), Err(Gone));
    assert!(wheel.replace(first, waker.clone()).is_err());
    assert_eq!(wheel.len(), 1);
    let mut due = Vec::new();
    wheel.expire(6, &mut due, usize::MAX);
    assert_eq!(due.len(), 1);
    assert_eq!(wheel.wakes(second, &waker), Err(Gone));
}

#[test]
fn memory_of_a_crowd_is_given_back() {
    let mut wheel = Wheel::new();
    let waker = Waker::noop();
    let keys: Vec<_> = (0..20_000).map(|n| wheel.insert(1_000 + n, waker.clone())).collect();
    wheel.trim();
    assert_eq!(wheel.len(), keys.len(), "not while somebody waits");
    for &key in &keys {
        assert!(wheel.remove(key).is_some());
    }
    wheel.trim();
    assert!(wheel.remove(keys[3]).is_none());
    let fresh = wheel.insert(5, waker.clone());
    assert!(keys.iter().all(|&key| wheel.remove(key).is_none()), "old keys stay old");
    assert!(wheel.remove(fresh).is_some());
}

#[test]
fn where_many_wait_the_next_tick_may_be_early_but_not_late() {
    let mut wheel = Wheel::new();
    for tick in 200..240 {
        wheel.insert(tick, Waker::noop().clone());
    }
    let next = wheel.next_tick().expect("forty wait");
    assert!(next > 64 && next <= 200);
    let mut due = Vec::new();
    assert!(wheel.expire(next, &mut due, usize::MAX));
    assert!(due.len() <= 1);
    assert!(wheel.next_tick() > Some(next));
}

/// Random operations on the wheel and on a map from (tick, sequence number) to the entry's number.
fn like_a_sorted_map(seed: u64, limit: usize) {
    let mut numbers = Numbers(seed);
    let notes = Notes::new();
    let mut wheel = Wheel::new();
    let mut model: BTreeMap<(u64, usize), Key> = BTreeMap::new();
    let mut gone: Vec<Key> = Vec::new();
    let mut now = numbers.below(1 << 40);
    notes.expire(&mut wheel, now, usize::MAX);
    for number in 0..4_000 {
        // Mostly near, sometimes on any level, sometimes beyond.
        let span = 1u64 << (6 * [1, 1, 1, 2, 2, 3, 4, 6, 7][numbers.below(9) as usize]);
        match numbers.below(10) {
            0..=4 => {
                let tick = (now + numbers.below(span)).max(wheel.fired() + 1);
                let key = wheel.insert(tick, notes.waker(number));
                assert!(model.insert((tick, number), key).is_none());
            }
            5..=6 if !model.is_empty() => {
                let at = numbers.below(model.len() as u64) as usize;
                let (&place, &key) = model.iter().nth(at).unwrap();
                assert!(wheel.remove(key).is_some());
                model.remove(&place);
                gone.push(key);
            }
            7 if !model.is_empty() => {
                let at = numbers.below(model.len() as u64) as usize;
                let (&(old, number), &key) = model.iter().nth(at).unwrap();
                let tick = wheel.reschedule(key, now + numbers.below(span)).unwrap();
                model.remove(&(old, number));
                model.insert((tick, number), key);
            }
            8 if !gone.is_empty() => {
                let key = gone[numbers.below(gone.len() as u64) as usize];
                assert!(wheel.remove(key).is_none());
            }
            _ => {
                now += numbers.below(span);
                let (woken, all) = notes.expire(&mut wheel, now, limit);
                assert!(all || limit < usize::MAX);
                let mut last = 0;
                for &number in &woken {
                    let (&place, &key) =
                        model.iter().find(|((_, of), _)| *of == number).expect("it waited");
                    assert!(place.0 <= now, "early");
                    assert!(place.0 >= last, "out of order");
                    last = place.0;
                    model.remove(&place);
                    gone.push(key);
                }
                if all {
                    assert!(model.keys().next().is_none_or(|&(tick, _)| tick > now), "late");
                    assert_eq!(wheel.fired(), now.max(wheel.fired()));
                }
                assert!(wheel.fired() <= now);
                assert!(model.keys().next().is_none_or(|&(tick, _)| tick > wheel.fired()));
            }
        }
        assert_eq!(wheel.len(), model.len());
        match (wheel.next_tick(), model.keys().next()) {
            (None, None) => {}
            (Some(next), Some(&(tick, _))) => assert!(next <= tick, "it would be overslept"),
            (next, first) => panic!("{next:?} of {first:?}"),
        }
    }
    // Let all the time in the world pass.
    let mut left = model.len() - model.range((LAST_TICK, 0)..).count();
    while left > 0 {
        now = wheel.next_tick().expect("somebody waits").max(now);
        left -= notes.expire(&mut wheel, now, limit).0.len();
    }
}

#[test]
fn it_does_what_a_sorted_map_does() {
    for seed in 1..=8 {
        like_a_sorted_map(seed * 0x9E37_79B9_7F4A, usize::MAX);
    }
}

#[test]
fn in_portions_it_does_what_a_sorted_map_does() {
    for limit in [1, 2, 5, 64] {
        like_a_sorted_map(limit as u64 * 0x9E37_79B9_7F4A, limit);
    }
}
