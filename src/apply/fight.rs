//! Who undoes a repair again and again is not drifting but fighting.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::ObjectId;

/// Repairs of the same fields of the same object, in a row.
#[derive(Debug, Default)]
pub(super) struct FightLedger(HashMap<ObjectId, Round>);

#[derive(Debug)]
struct Round {
    fields: Vec<String>,
    times: u32,
    last: Instant,
}

impl FightLedger {
    /// So many repairs in a row are a fight.
    const MOST: u32 = 5;
    /// With so many, those that are no row any more are forgotten.
    const MANY: usize = 1024;
    /// Repairs further apart than this are no row.
    const ROW: Duration = Duration::from_secs(60);

    /// Note a repair that is about to be made. If the same one was made too often already, answers how often.
    pub(super) fn repaired_too_often(&mut self, id: &ObjectId, fields: &[String]) -> Option<u32> {
        let now = Instant::now();
        match self.0.get_mut(id) {
            Some(round) if round.fields == fields && now.duration_since(round.last) < Self::ROW => {
                round.last = now;
                round.times += 1;
                (round.times > Self::MOST).then_some(round.times - 1)
            }
            _ => {
                if self.0.len() >= Self::MANY {
                    self.0.retain(|_, round| now.duration_since(round.last) < Self::ROW);
                }
                self.0.insert(id.clone(), Round { fields: fields.to_vec(), times: 1, last: now });
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_repair_over_and_over_is_a_fight() {
        let mut ledger = FightLedger::default();
        let id = ObjectId::new("", "ConfigMap", Some("a"), "x");
        let fields = ["data.a".to_owned()];
        assert!((0..5).all(|_| ledger.repaired_too_often(&id, &fields).is_none()));
        assert_eq!(ledger.repaired_too_often(&id, &fields), Some(5));
        assert_eq!(ledger.repaired_too_often(&id, &["data.b".to_owned()]), None);
    }
}
