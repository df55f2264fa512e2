//! From what a restart has read to logs: of a key when its first row comes, of a group before it is written whole.

use super::cold::damaged;
use super::keys::{Key, State};
use super::logs::Logs;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::KeyGroup;

impl Logs {
    /// Enters what a restart has read of a key that comes for the first time.
    #[inline(never)]
    pub(super) fn thaw(&mut self, place: usize, hash: u64, key: Key<'_>) -> Result<(), OperatorError> {
        let mut entries = self.cold.take_scratch();
        let words = self.cold.read(&self.plan, &mut self.names, (hash, key), self.table.null_hash(), &mut entries)?;
        if words > 0 {
            self.append(place, &mut entries[..words])?;
        }
        self.cold.put_scratch(entries);
        Ok(())
    }

    /// Enters what a restart has read of the keys of a group that had no row since: then nothing of it is left to be read.
    pub fn thaw_group(&mut self, group: KeyGroup) -> Result<(), OperatorError> {
        let (plan, null_hash) = (self.plan.clone(), self.table.null_hash());
        let Some(parts) = self.cold.take(group) else { return Ok(()) };
        self.reserve(parts.iter().map(|part| part.keys).max().unwrap_or(0));
        let mut entries = self.cold.take_scratch();
        for part in parts {
            let (mut walk, mut keys) = (part.walk(), 0);
            while let Some((hash, key)) = walk.next(null_hash)? {
                keys += 1;
                if self.table.find(hash, key).is_some_and(|place| !self.table.head(place).is_thawed()) {
                    walk.pass_over()?;
                    continue;
                }
                let words = walk.read(&plan, &mut self.names, &mut entries, 0)?;
                if words > 0 {
                    let place = self.find_or_begin(hash, key);
                    self.append(place, &mut entries[..words])?;
                }
            }
            if keys != part.keys {
                return Err(damaged(&format!("it has {keys} keys where {} were written", part.keys)));
            }
        }
        self.cold.put_scratch(entries);
        Ok(())
    }

    /// The place of a key of a group that is entered as a whole.
    fn find_or_begin(&mut self, hash: u64, key: Key<'_>) -> usize {
        self.reserve(1);
        let place = self.table.find_or_add(hash, key);
        if self.table.head(place).state() == State::Free {
            self.begin(place);
            self.table.head_mut(place).set_thawed();
        }
        place
    }
}
