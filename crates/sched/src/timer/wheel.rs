//! A hierarchical timing wheel: which deadlines have passed, and which is the next.
//!
//! Time is counted in *ticks* of a millisecond since the wheel was made. Each of six levels has
//! 64 slots; a slot of level `l` spans `64^l` ticks, so level 0 tells single ticks apart and the six
//! together reach 2^36 ticks, somewhat over two years. What lies farther waits in one list of its own,
//! *beyond*, until the wheel has gone round.
//!
//! An entry lives at the level of the highest group of six bits in which its tick differs from the
//! wheel's *hand* (the tick the wheel stands at). Three things follow. Every occupied slot of a level
//! lies ahead of the hand, so the first one is the lowest set bit of that level's bitmap, with no
//! wrapping round. The first occupied slot of the lowest occupied level holds the earliest deadline of
//! all. And when the hand comes to a slot of a higher level, its entries move down (they *cascade*),
//! each at most once per level in its life, so that insert, remove and expire cost O(1) per entry.
//!
//! Entries are rows of one vector, linked by index into doubly linked lists: no allocation per entry, no
//! pointer, no unsafe code. A [`Key`] carries the generation of its row, so that a late removal cannot
//! hit the row's next tenant.
//!
//! Expiring is done in portions: [`Wheel::expire`] touches at most as many entries as it is allowed to,
//! then returns, so that whoever holds the wheel's lock can let go of it in between. The slot being
//! worked off is kept in a list of its own, *draining*, meanwhile.
//!
//! The algorithm is George Varghese and Tony Lauck's (Hashed and Hierarchical Timing Wheels, 1987).

use std::task::Waker;

/// How many levels there are; level `l` has slots of `64^l` ticks.
const LEVELS: usize = 6;
/// Slots of a level, one bit each in a `u64`.
const SLOTS: usize = 64;
/// Bits of a tick that choose the slot of one level.
const SLOT_BITS: u32 = 6;
/// Ticks that all levels together tell apart, less one: the bits of a tick below the rotation count.
const ROTATION_MASK: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - 1;

/// The list of what was in the slot that the hand has come to and was not looked at yet.
const DRAINING: u16 = (LEVELS * SLOTS) as u16;
/// The list of what is due after the present rotation.
const BEYOND: u16 = DRAINING + 1;
/// How many lists there are.
const LISTS: usize = BEYOND as usize + 1;

/// No entry: the end of a list.
const NIL: u32 = u32::MAX;
/// The mark of a row that is in no list but that of the free ones.
const FREE: u16 = u16::MAX;

/// The last tick there is: later deadlines count as this one, and it never comes.
pub const LAST_TICK: u64 = u64::MAX - 1;

/// Up to how many entries of a slot are looked at for its exact earliest deadline. A longer list answers
/// with the slot's beginning: the sleeper wakes early once, moves the list down, and sleeps again.
const EXACT_LOOK: usize = 16;

/// How many rows an empty wheel keeps: 640 KiB. See [`Wheel::trim`].
const KEEP: usize = 16_384;

/// A wheel of wakers.
#[derive(Debug)]
pub struct Wheel {
    /// The tick the wheel stands at. No occupied slot lies before it.
    hand: u64,
    /// Everything due at this tick or earlier has been expired; 0 stands for "nothing yet", since no
    /// entry is ever due at tick 0.
    fired: u64,
    /// One bit per occupied slot, one word per level.
    occupied: [u64; LEVELS],
    lists: Box<[List; LISTS]>,
    rows: Vec<Row>,
    free: u32,
    len: u32,
    /// The generation of the next entry; counts over the whole wheel, so that rows can be given back.
    generation: u32,
}

/// Names an entry of a [`Wheel`], for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    index: u32,
    generation: u32,
}

/// What is said of a [`Key`] whose entry was expired, removed or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

#[derive(Debug, Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

/// One entry, or a free row (then `next` is the next free one).
#[derive(Debug)]
struct Row {
    waker: Option<Waker>,
    tick: u64,
    next: u32,
    prev: u32,
    generation: u32,
    list: u16,
}

const _: () = assert!(size_of::<Row>() <= 48, "a million sleepers are common");

const EMPTY: List = List { head: NIL, tail: NIL };

impl Default for Wheel {
    fn default() -> Self {
        Self::new()
    }
}

impl Wheel {
    /// An empty wheel at tick 0.
    pub fn new() -> Self {
        Self {
            hand: 0,
            fired: 0,
            occupied: [0; LEVELS],
            lists: Box::new([EMPTY; LISTS]),
            rows: Vec::new(),
            free: NIL,
            len: 0,
            generation: 0,
        }
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tick up to which, itself included, everything has been expired.
    pub fn fired(&self) -> u64 {
        self.fired
    }

    /// Adds an entry for `tick`. A tick that has been expired already counts as the next one.
    ///
    /// # Panics
    ///
    /// With 2^32 - 1 entries.
    pub fn insert(&mut self, tick: u64, waker: Waker) -> Key {
        let tick = self.clamp(tick);
        let generation = self.generation;
        self.generation = generation.wrapping_add(1);
        let index = self.free;
        let row = Row { waker: Some(waker), tick, next: NIL, prev: NIL, generation, list: FREE };
        let index = if index == NIL {
            let index = u32::try_from(self.rows.len()).ok().filter(|&index| index != NIL);
            let index = index.expect("a wheel has fewer than 2^32 - 1 entries");
            self.rows.push(row);
            index
        } else {
            let place = &mut self.rows[index as usize];
            self.free = place.next;
            *place = row;
            index
        };
        self.len += 1;
        self.link(index, self.list_for(tick));
        Key { index, generation }
    }

    /// Takes an entry out before its time and returns its waker; `None` if it has gone already.
    pub fn remove(&mut self, key: Key) -> Option<Waker> {
        self.get(key)?;
        self.unlink(key.index);
        self.release(key.index)
    }

    /// Whether the entry wakes the task that `waker` wakes. Runs no code of the waker's.
    pub fn wakes(&self, key: Key, waker: &Waker) -> Result<bool, Gone> {
        let row = self.get(key).ok_or(Gone)?;
        Ok(row.waker.as_ref().is_some_and(|old| old.will_wake(waker)))
    }

    /// Makes `waker` the one that the entry wakes. Gives back the waker that is not needed, to be dropped
    /// where that may be done: the former one, or `waker` itself if the entry has gone already.
    pub fn replace(&mut self, key: Key, waker: Waker) -> Result<Option<Waker>, Waker> {
        match self.get(key) {
            Some(_) => Ok(self.rows[key.index as usize].waker.replace(waker)),
            None => Err(waker),
        }
    }

    /// Moves an entry to another tick, keeping its waker, and returns the tick it is now due at (later
    /// than `tick` if that one has been expired). `Err` if the entry has gone already.
    pub fn reschedule(&mut self, key: Key, tick: u64) -> Result<u64, Gone> {
        self.get(key).ok_or(Gone)?;
        let tick = self.clamp(tick);
        self.unlink(key.index);
        self.rows[key.index as usize].tick = tick;
        self.link(key.index, self.list_for(tick));
        Ok(tick)
    }

    /// Takes the wakers of what is due at `now` or earlier, in the order of their ticks, and appends them
    /// to `due`. Touches at most `limit` entries; returns whether that was all.
    pub fn expire(&mut self, now: u64, due: &mut Vec<Waker>, limit: usize) -> bool {
        let now = now.min(LAST_TICK - 1);
        let mut left = limit;
        loop {
            // What the hand stands at comes first: it is the earliest there is.
            while self.lists[DRAINING as usize].head != NIL {
                if left == 0 {
                    return false;
                }
                left -= 1;
                let index = self.lists[DRAINING as usize].head;
                self.unlink(index);
                let tick = self.rows[index as usize].tick;
                if tick <= self.hand {
                    due.extend(self.release(index));
                } else {
                    self.link(index, self.list_for(tick));
                }
            }
            match self.first() {
                Some((list, start)) if start <= now => {
                    self.hand = start;
                    // All that is due earlier has been taken; what is due at `start` itself, not yet.
                    self.fired = self.fired.max(start.saturating_sub(1));
                    self.drain(list);
                }
                _ => break,
            }
        }
        // Never backwards, or entries would lie behind the hand.
        if now > self.hand {
            // Within one rotation nothing changes level by this: no occupied slot has been passed. The
            // list of what lies beyond is due at the rotation's end at the latest, so neither has that.
            self.hand = now;
        }
        self.fired = self.fired.max(now);
        true
    }

    /// The tick at which [`expire`](Self::expire) is to be called next: the earliest deadline, or, if too
    /// many entries would have to be looked at to tell, a moment before it. `None` if nothing waits.
    pub fn next_tick(&self) -> Option<u64> {
        if self.lists[DRAINING as usize].head != NIL {
            return Some(self.hand);
        }
        let (list, start) = self.first()?;
        if (list as usize) < SLOTS {
            return Some(start);
        }
        let mut earliest = u64::MAX;
        let mut at = self.lists[list as usize].head;
        for _ in 0..EXACT_LOOK {
            if at == NIL {
                return Some(earliest);
            }
            let row = &self.rows[at as usize];
            earliest = earliest.min(row.tick);
            at = row.next;
        }
        Some(if at == NIL { earliest } else { start })
    }

    /// Takes every entry out and appends their wakers to `all`.
    pub fn clear(&mut self, all: &mut Vec<Waker>) {
        all.extend(self.rows.drain(..).filter_map(|row| row.waker));
        self.occupied = [0; LEVELS];
        *self.lists = [EMPTY; LISTS];
        self.free = NIL;
        self.len = 0;
    }

    /// Gives memory back if nothing waits and much has waited before.
    pub fn trim(&mut self) {
        if self.len == 0 && self.rows.capacity() > KEEP {
            self.rows = Vec::new();
            self.free = NIL;
        }
    }

    /// `tick`, or the first one that is still to come.
    fn clamp(&self, tick: u64) -> u64 {
        tick.clamp(self.fired + 1, LAST_TICK)
    }

    fn get(&self, key: Key) -> Option<&Row> {
        let row = self.rows.get(key.index as usize)?;
        (row.generation == key.generation && row.list != FREE).then_some(row)
    }

    /// The list in which an entry for `tick` has to wait.
    fn list_for(&self, tick: u64) -> u16 {
        // While a slot is drained the hand may stand at `fired + 1`, never farther.
        debug_assert!(tick >= self.hand, "entries lie ahead of the hand");
        let differs = self.hand ^ tick;
        if differs > ROTATION_MASK {
            return BEYOND;
        }
        // `| 1`: the hand's own tick belongs to level 0, as do the 63 around it.
        let level = (differs | 1).ilog2() / SLOT_BITS;
        let slot = (tick >> (level * SLOT_BITS)) as usize % SLOTS;
        (level as usize * SLOTS + slot) as u16
    }

    /// The list with the earliest entries and the first tick it spans.
    fn first(&self) -> Option<(u16, u64)> {
        for (level, &bits) in self.occupied.iter().enumerate() {
            if bits != 0 {
                let slot = bits.trailing_zeros();
                let shift = level as u32 * SLOT_BITS;
                let rotation = self.hand & !((1 << (shift + SLOT_BITS)) - 1);
                let start = rotation | (u64::from(slot) << shift);
                debug_assert!(start >= self.hand, "occupied slots lie ahead of the hand");
                return Some(((level * SLOTS) as u16 + slot as u16, start));
            }
        }
        let beyond = self.lists[BEYOND as usize].head != NIL;
        beyond.then(|| (BEYOND, (self.hand | ROTATION_MASK) + 1))
    }

    /// Makes a whole list the one being worked off.
    fn drain(&mut self, list: u16) {
        debug_assert_eq!(self.lists[DRAINING as usize].head, NIL, "one at a time");
        // The rows still say they are in `list`: rewriting them would touch each once more. `unlink` knows.
        self.lists[DRAINING as usize] = std::mem::replace(&mut self.lists[list as usize], EMPTY);
        self.mark(list, false);
    }

    /// Appends a row to a list.
    fn link(&mut self, index: u32, list: u16) {
        let tail = std::mem::replace(&mut self.lists[list as usize].tail, index);
        let row = &mut self.rows[index as usize];
        row.list = list;
        row.next = NIL;
        row.prev = tail;
        if tail == NIL {
            self.lists[list as usize].head = index;
            self.mark(list, true);
        } else {
            self.rows[tail as usize].next = index;
        }
    }

    /// Takes a row out of the list it is in.
    fn unlink(&mut self, index: u32) {
        let &Row { next, prev, list, .. } = &self.rows[index as usize];
        if next == NIL {
            // The last one of its list, or of that list as it was when it became the one being drained.
            let list = if self.lists[list as usize].tail == index { list } else { DRAINING };
            debug_assert_eq!(self.lists[list as usize].tail, index);
            self.lists[list as usize].tail = prev;
        } else {
            self.rows[next as usize].prev = prev;
        }
        if prev == NIL {
            let list = if self.lists[list as usize].head == index { list } else { DRAINING };
            debug_assert_eq!(self.lists[list as usize].head, index);
            self.lists[list as usize].head = next;
            if next == NIL {
                self.mark(list, false);
            }
        } else {
            self.rows[prev as usize].next = next;
        }
    }

    /// Puts an unlinked row among the free ones and returns its waker.
    fn release(&mut self, index: u32) -> Option<Waker> {
        let row = &mut self.rows[index as usize];
        row.list = FREE;
        row.next = std::mem::replace(&mut self.free, index);
        self.len -= 1;
        row.waker.take()
    }

    fn mark(&mut self, list: u16, occupied: bool) {
        let list = list as usize;
        if let Some(bits) = self.occupied.get_mut(list / SLOTS) {
            let bit = 1 << (list % SLOTS);
            if occupied { *bits |= bit } else { *bits &= !bit }
        }
    }
}
