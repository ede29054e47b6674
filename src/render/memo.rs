//! A memory of results, so that a new commit costs what it changes.

use std::hash::Hash;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// Results by what they were made of. What neither this round nor the one before used is forgotten.
///
/// A key may be the address of a shared value, if the result keeps that value alive: then no other value can
/// come to have the same address.
#[derive(Debug)]
pub struct Memo<K, V> {
    entries: FxHashMap<K, (V, u64)>,
    round: u64,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Memo<K, V> {
        Memo { entries: FxHashMap::default(), round: 0 }
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// Begins a round and forgets what the last two did not use.
    pub fn begin(&mut self) {
        self.round += 1;
        let round = self.round;
        self.entries.retain(|_, (_, used)| *used + 2 >= round);
    }

    /// A known result, without marking it as used.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Keeps a result, or marks it as used.
    pub fn keep(&mut self, key: K, value: V) {
        self.entries.insert(key, (value, self.round));
    }

    /// The results for many keys, in their order; those that are not known are made all at once. `make` is told which
    /// of the keys it is.
    pub fn get_all(&mut self, keys: Vec<K>, make: impl Fn(usize) -> V + Sync) -> Vec<V>
    where
        V: Send,
    {
        let round = self.round;
        let known: Vec<Option<V>> = keys
            .iter()
            .map(|key| {
                let (value, used) = self.entries.get_mut(key)?;
                *used = round;
                Some(value.clone())
            })
            .collect();
        let missing = known.iter().enumerate().filter(|(_, value)| value.is_none());
        let missing: Vec<usize> = missing.map(|(index, _)| index).collect();
        let made: Vec<V> = missing.into_par_iter().map(&make).collect();
        let mut made = made.into_iter();
        let values = keys.into_iter().zip(known).map(|(key, value)| {
            value.or_else(|| {
                let value = made.next()?;
                self.keep(key, value.clone());
                Some(value)
            })
        });
        values.flatten().collect()
    }

    /// Forgets a result that would not be the same another time.
    pub fn forget(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// The result for a key, made if it is not known.
    pub fn get(&mut self, key: K, make: impl FnOnce() -> V) -> V {
        let round = self.round;
        let entry = self.entries.entry(key).or_insert_with(|| (make(), round));
        entry.1 = round;
        entry.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_only_the_unknown_are_made() {
        let mut memo = Memo::default();
        memo.begin();
        memo.keep("b", 20);
        assert_eq!(memo.get_all(vec!["a", "b", "c"], |index| index), [0, 20, 2]);
        assert_eq!(memo.get_all(vec!["c", "a"], |_| unreachable!()), [2, 0]);
    }

    #[test]
    fn what_two_rounds_did_not_use_is_forgotten() {
        let mut memo = Memo::default();
        memo.begin();
        assert_eq!(memo.get("a", || 1), 1);
        memo.begin();
        assert_eq!(memo.get("a", || 2), 1);
        for _ in 0..3 {
            memo.begin();
        }
        assert_eq!(memo.get("a", || 3), 3);
    }
}
