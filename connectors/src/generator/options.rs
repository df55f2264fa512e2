//! The generator's options and declared columns.

use super::payments::{Column, PaymentOptions};
use super::times::TimeOptions;
use crate::options::{Options, nearest};
use arrow_schema::Schema;

/// 2026-01-01T00:00:00Z: fixed, so that a job on generated payments gives the same result every day.
const EVENT_START_MS: i64 = 1_767_225_600_000;
/// Shards of one table.
const PARTITIONS_MAX: i64 = 256;
/// Rows of one table; their event times stay far from the ends of `i64`.
const ROWS_MAX: i64 = 1_000_000_000_000;
/// A year: the furthest a row may be behind.
const BEHIND_MS_MAX: i64 = 366 * 86_400_000;

/// What a generator table asks for.
#[derive(Clone, Debug)]
pub struct GeneratorOptions {
    /// The rows' content.
    pub payments: PaymentOptions,
    /// Rows in all; `None` is unbounded.
    pub rows: Option<u64>,
    /// Pace by the wall clock.
    pub rows_per_second: Option<u64>,
    /// Number of shards.
    pub partitions: u64,
    /// The declared columns, in order.
    pub columns: Vec<Column>,
}

impl GeneratorOptions {
    /// Reads the options; what is wrong is noted in `o` and replaced by its default.
    pub fn parse(o: &mut Options, physical: &Schema) -> Self {
        let rows = o.optional_integer("number-of-rows", 0..=ROWS_MAX).map(|n| n as u64);
        let rows_per_second = o.optional_integer("rows-per-second", 1..=1_000_000_000).map(|n| n as u64);
        let seed = o.integer("seed", i64::MIN..=i64::MAX, 42) as u64;
        let partitions = o.integer("partitions", 1..=PARTITIONS_MAX, 8) as u64;
        let payments = PaymentOptions {
            seed,
            times: times(o),
            bursts_per_day: o.integer("bursts-per-day", 0..=1_000_000, 288) as u64,
            cards: o.integer("cards", 1..=999_999_999, 1_000_000) as u64,
            cards_skew: o.thousandths("cards-skew", 0..=990, 200) as u32,
            merchants: o.integer("merchants", 1..=1 << 31, 20_000) as u64,
            merchants_skew: o.thousandths("merchants-skew", 0..=990, 600) as u32,
            devices: o.integer("devices", 1..=1 << 31, 1_300_000) as u64,
        };
        let columns = columns(o, physical);
        Self { payments, rows, rows_per_second, partitions, columns }
    }

    /// Everything that decides which rows a shard holds, as text: kept in checkpoints, so its form is frozen. Not among it:
    /// the pace, and which columns are declared.
    pub fn shape(&self) -> String {
        let Self { payments: p, rows, partitions, rows_per_second: _, columns: _ } = self;
        let PaymentOptions { seed, times: t, bursts_per_day, cards, cards_skew, merchants, merchants_skew, devices } =
            p;
        let TimeOptions { start_ms, rows_per_1000_s, disorder, disorder_max_ms, late, late_min_ms, late_max_ms } = t;
        let rows = rows.map_or("endless".to_owned(), |n| n.to_string());
        format!(
            "generator 1: rows {rows}, partitions {partitions}, seed {seed}, start {start_ms}, rate {rows_per_1000_s}, disorder \
             {disorder} to {disorder_max_ms}, late {late} from {late_min_ms} to {late_max_ms}, bursts {bursts_per_day}, cards \
             {cards} skew {cards_skew}, merchants {merchants} skew {merchants_skew}, devices {devices}"
        )
    }
}

fn times(o: &mut Options) -> TimeOptions {
    let options = TimeOptions {
        start_ms: o.timestamp_ms("event-start", EVENT_START_MS),
        rows_per_1000_s: o.thousandths("event-rate", 1..=1_000_000_000_000, 100_000) as u64,
        disorder: o.share("disorder", 0.02),
        disorder_max_ms: o.duration_ms("disorder-max", 1..=BEHIND_MS_MAX, 4_000) as u64,
        late: o.share("late-share", 0.001),
        late_min_ms: o.duration_ms("late-min", 0..=BEHIND_MS_MAX, 6_000) as u64,
        late_max_ms: o.duration_ms("late-max", 0..=BEHIND_MS_MAX, 120_000) as u64,
    };
    // Years 1 to 9999 less what the largest table covers at the slowest useful rate.
    if !(-62_135_596_800_000..=253_402_300_799_999).contains(&options.start_ms) {
        o.error("event-start", "lies outside the years 1 to 9999; write e.g. '2026-01-01T00:00:00'");
    }
    if options.disorder + options.late > 1.0 {
        o.error("late-share", format!("{} and disorder {} are more than all rows", options.late, options.disorder));
    }
    if options.late_max_ms < options.late_min_ms {
        o.error("late-max", format!("is below late-min, which is {} ms", options.late_min_ms));
        return TimeOptions { late_max_ms: options.late_min_ms, ..options };
    }
    options
}

/// The generator's columns that the table declares; an unknown name or another type is an error of the `connector`.
fn columns(o: &mut Options, physical: &Schema) -> Vec<Column> {
    let mut found = Vec::new();
    for field in physical.fields() {
        match Column::ALL.iter().find(|(_, name, _)| name == field.name()) {
            Some((column, _, data_type)) if data_type == field.data_type() => found.push(*column),
            Some((_, name, data_type)) => {
                let (want, have) = (
                    highwater_engine::graph::types::sql_type(data_type),
                    highwater_engine::graph::types::sql_type(field.data_type()),
                );
                o.error(
                    "connector",
                    format!("the generator's column {name} is {want}, declared is {have}; write {name} {want}"),
                );
            }
            None => {
                let names = Column::ALL.map(|(_, name, _)| name);
                let hint = match nearest(field.name(), &names) {
                    Some(name) => format!("did you mean {name}?"),
                    None => format!("it has {}", names.join(", ")),
                };
                o.error("connector", format!("the generator has no column {}; {hint}", field.name()));
            }
        }
    }
    found
}
