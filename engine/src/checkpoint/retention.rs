//! Which checkpoints are kept: a pure function of their ages.

use std::collections::{BTreeSet, HashSet};

/// Newest checkpoints that are always kept.
pub const LAST_KEPT: usize = 3;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Of checkpoints (number, when it was made; ascending) those to keep at `now_ms`: the last [`LAST_KEPT`]; for an hour the
/// first of each minute; for a day the first of each hour. Minutes and hours are those of the clock (UTC), so that the
/// answer does not depend on when it was asked before. One from the future counts as new.
pub fn kept(checkpoints: &[(u64, i64)], now_ms: i64) -> BTreeSet<u64> {
    let last = checkpoints.iter().rev().take(LAST_KEPT).map(|(number, _)| *number);
    let mut kept: BTreeSet<u64> = last.collect();
    for (age_max, unit) in [(HOUR_MS, MINUTE_MS), (DAY_MS, HOUR_MS)] {
        let mut units = HashSet::new();
        for (number, created) in checkpoints {
            if units.insert(created.div_euclid(unit)) && now_ms.saturating_sub(*created) <= age_max {
                kept.insert(*number);
            }
        }
    }
    kept
}
