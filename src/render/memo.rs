//! A memory of results, so that a new commit costs what it changes.

use std::hash::Hash;

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
