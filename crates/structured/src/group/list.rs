//! Places that are given out and come back.

/// A list in which everything keeps its place until it is taken out.
pub(super) struct Places<T> {
    places: Vec<Place<T>>,
    /// The first of those that are free.
    free: usize,
}

enum Place<T> {
    Taken(T),
    /// The next that is free, or `NONE`.
    Free(usize),
}

const NONE: usize = usize::MAX;

impl<T> Places<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: NONE }
    }

    /// Puts it somewhere, and says where.
    pub(super) fn put(&mut self, value: T) -> usize {
        let Some(place) = self.places.get_mut(self.free) else {
            self.places.push(Place::Taken(value));
            return self.places.len() - 1;
        };
        let Place::Free(next) = *place else { unreachable!("the free ones are chained") };
        *place = Place::Taken(value);
        std::mem::replace(&mut self.free, next)
    }

    /// Takes out what was put there.
    pub(super) fn take(&mut self, place: usize) -> T {
        match std::mem::replace(&mut self.places[place], Place::Free(self.free)) {
            Place::Taken(value) => {
                self.free = place;
                value
            }
            Place::Free(_) => unreachable!("each takes out what it put there, once"),
        }
    }

    /// Everything that is there.
    pub(super) fn into_all(self) -> impl Iterator<Item = T> {
        self.places.into_iter().filter_map(|place| match place {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        })
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::Places;

    #[test]
    fn each_keeps_its_place_and_free_ones_are_used_again() {
        let mut list = Places::new();
        let places: Vec<_> = (0..5).map(|value| list.put(value)).collect();
        assert_eq!((list.take(places[1]), list.take(places[3])), (1, 3));
        let again = [list.put(30), list.put(10), list.put(50)];
        assert_eq!(again, [3, 1, 5]);
        assert_eq!((list.take(places[4]), list.take(again[0])), (4, 30));
        assert_eq!(list.into_all().collect::<Vec<_>>(), [0, 10, 2, 50]);
    }
}
