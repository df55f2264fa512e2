//! How far an attempt has read: between which rows the one must lie that it failed at.

use crate::flow::intake::Intake;
use std::fmt;
use std::sync::Arc;

/// Partitions named in a message.
const NAMED_MAX: usize = 3;

/// The offset of the next row of each partition of each table.
pub(in crate::flow) type Offsets = Vec<Vec<i64>>;

/// Where the tables stand.
pub(in crate::flow) fn offsets(intakes: &[Arc<Intake>]) -> Offsets {
    intakes.iter().map(|intake| intake.offsets()).collect()
}

/// The rows an attempt has read.
#[derive(Debug, Default)]
pub(in crate::flow) struct Reach(Vec<Span>);

/// Rows `[from, to)` of a partition.
#[derive(Debug)]
struct Span {
    table: String,
    partition: String,
    from: i64,
    to: i64,
}

impl Reach {
    /// What was read since the tables stood at `before`.
    pub(in crate::flow) fn between(intakes: &[Arc<Intake>], before: &Offsets) -> Self {
        let now = offsets(intakes);
        let spans = intakes.iter().zip(before.iter().zip(&now)).flat_map(|(intake, (before, now))| {
            let partitions = intake.source.partitions().iter().zip(before.iter().zip(now));
            partitions.map(|(info, (&from, &to))| Span {
                table: intake.spec.table.clone(),
                partition: info.name.clone(),
                from,
                to,
            })
        });
        Self(spans.filter(|span| span.from < span.to).collect())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("before any row");
        }
        for (i, Span { table, partition, from, to }) in self.0.iter().take(NAMED_MAX).enumerate() {
            let joint = if i == 0 { "having read" } else { "," };
            write!(f, "{joint} offsets {from} to {} of {table} {partition}", to - 1)?;
        }
        match self.0.len() - self.0.len().min(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, " and some of {more} more partitions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_names_offsets_of_a_few_partitions() {
        let span = |i: i64| Span { table: "t".into(), partition: format!("p{i}"), from: i, to: i + 10 };
        let text = |n| Reach((0..n).map(span).collect()).to_string();
        assert_eq!(text(0), "before any row");
        assert_eq!(text(2), "having read offsets 0 to 9 of t p0, offsets 1 to 10 of t p1");
        assert!(text(5).ends_with(", offsets 2 to 11 of t p2 and some of 2 more partitions"), "{}", text(5));
    }
}
