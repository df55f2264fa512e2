//! Windows as columns: `TABLE(TUMBLE(..))`, `TABLE(HOP(..))` and `TABLE(CUMULATE(..))` without an aggregation on top.
//!
//! A row becomes one row per window `[start, end)` that its event time lies in (one for TUMBLE, size / slide or so for HOP),
//! with `window_start`, `window_end` and `window_time` = end − 1 ms appended. As in Flink, `window_time` is the time
//! attribute of the result: it is the event time of the output row. So a row is late in the result only if its
//! `window_time` lies below the watermark that tagged it, in other words if its window was closed already; such a row
//! passes with its tag (no window TVF of Flink drops rows), the others lose it. Rows keep their identity and order;
//! windows of a row ascend. Start and end of calendar windows show local time. Stateless.

use crate::stateless::{self, Stateless};
use crate::window::borders::{Borders, Bounds, Span};
use arrow::array::{RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::take;
use arrow::error::ArrowError;
use arrow_schema::{DataType, SchemaRef};
use highwater_engine::batch::{Batch, ON_TIME};
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::{Node, WindowKind};
use highwater_engine::operator::{Operator, Output};
use std::sync::Arc;

/// The operator of `node`.
pub fn operator(node: &Node, kind: &WindowKind, input: &SchemaRef) -> Result<Box<dyn Operator>, BuildError> {
    let fail = |m: String| BuildError::new(format!("{}: {m}", node.name));
    let borders = Borders::new(kind).map_err(|e| fail(e.to_string()))?;
    let added = input.fields().len();
    if node.schema.fields().len() != added + 3 {
        return Err(fail("windows append three columns".to_owned()));
    }
    Ok(stateless::operator(AssignWindow { borders, schema: node.schema.clone() }))
}

struct AssignWindow {
    borders: Borders,
    schema: SchemaRef,
}

/// One output row per window of each input row.
#[derive(Default)]
struct Assigned {
    rows: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    times: Vec<i64>,
}

impl AssignWindow {
    fn assign(&self, times: &[i64]) -> Result<Assigned, OperatorError> {
        let mut out = Assigned::default();
        let mut here: Option<Span> = None;
        // of the rows of a span: each window as instants and as shown
        let mut windows = vec![];
        for (row, t) in times.iter().enumerate() {
            if here.is_none_or(|s| *t < s.from || s.until <= *t) {
                let span = *here.insert(self.borders.span(*t)?);
                windows.clear();
                for Bounds { start, end } in self.borders.windows(span.slice) {
                    windows.push((self.local(start)?, self.local(end)?, end - 1));
                }
            }
            for (start, end, time) in &windows {
                out.rows.push(row as u32);
                out.starts.push(*start);
                out.ends.push(*end);
                out.times.push(*time);
            }
        }
        Ok(out)
    }

    fn local(&self, t: i64) -> Result<i64, OperatorError> {
        self.borders.zone().local(t, 1_000).ok_or_else(|| {
            OperatorError::new("an event time too far from 1970 for a window; bound it with scan.event-time.max")
        })
    }

    fn rows(&self, batch: &Batch, assigned: Assigned) -> Result<Batch, ArrowError> {
        let rows = UInt32Array::from(assigned.rows);
        let each_once = rows.len() == batch.rows() && rows.values().iter().enumerate().all(|(i, r)| i as u32 == *r);
        let mut columns = batch.columns().columns().to_vec();
        if !each_once {
            columns = columns.iter().map(|c| take(c, &rows, None)).collect::<Result<_, _>>()?;
        }
        let times = ScalarBuffer::from(assigned.times);
        for values in [assigned.starts.into(), assigned.ends.into(), times.clone()] {
            let zone = match self.schema.field(columns.len()).data_type() {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            };
            columns.push(Arc::new(TimestampMillisecondArray::new(values, None).with_timezone_opt(zone)));
        }
        let columns = RecordBatch::try_new(self.schema.clone(), columns)?;
        let kept = if each_once { batch.clone().with_columns(columns) } else { batch.take_as(&rows, columns) };
        let tags = kept.tags().map(|tags| {
            let late = |(tag, time): (&i64, &i64)| if *time < *tag { *tag } else { ON_TIME };
            tags.iter().zip(times.iter()).map(late).collect::<ScalarBuffer<i64>>()
        });
        let tags = tags.filter(|t| t.iter().any(|t| *t != ON_TIME));
        let out = Batch::new(kept.columns().clone(), times);
        Ok(out.with_tags(tags).with_identity(kept.identity().cloned()).with_hashes(kept.hashes().cloned()))
    }
}

impl Stateless for AssignWindow {
    fn on_batch(&mut self, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        let assigned = self.assign(batch.times())?;
        out.push(self.rows(&batch, assigned).map_err(|e| OperatorError::new(e.to_string()))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use arrow_schema::{Field, Schema};
    use highwater_engine::graph::Step;
    use highwater_engine::graph::types::window_fields;
    use proptest::prelude::*;

    fn script(kind: WindowKind, script: &str) {
        let input = Arc::new(Schema::new(vec![Field::new("item", DataType::Utf8, true)]));
        let fields = input.fields().iter().map(|f| f.as_ref().clone()).chain(window_fields());
        let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let step = Step::AssignWindow(kind);
        let node = Node { name: "w".into(), inputs: vec![0], step, schema: output.clone() };
        let kind = match &node.step {
            Step::AssignWindow(k) => k,
            _ => unreachable!("the step is an AssignWindow"),
        };
        check(&|| operator(&node, kind, &input).unwrap(), &input, &output, script);
    }

    const MINUTE: i64 = 60_000;

    /// The documentation of Flink's window TVFs, "TUMBLE": bids in windows of ten minutes.
    #[test]
    fn tumble_appends_the_window_of_each_row() {
        script(
            WindowKind::Tumble { size_ms: 10 * MINUTE, offset_ms: 0 },
            "
            08:05 | C
            08:07 | A
            08:09 | D
            08:11 | B
            08:10 @08:20 | E  // its window is closed
            08:13 @08:15 | F  // behind the watermark, but its window is open: on time in the result
            ----
            08:09:59.999 | C | 08:00 | 08:10 | 08:09:59.999
            08:09:59.999 | A | 08:00 | 08:10 | 08:09:59.999
            08:09:59.999 | D | 08:00 | 08:10 | 08:09:59.999
            08:19:59.999 | B | 08:10 | 08:20 | 08:19:59.999
            08:19:59.999 | E | 08:10 | 08:20 | 08:19:59.999
            08:19:59.999 | F | 08:10 | 08:20 | 08:19:59.999
            ",
        );
    }

    /// The documentation of Flink's window TVFs, "HOP": windows of ten minutes every five.
    #[test]
    fn hop_repeats_a_row_for_each_of_its_windows() {
        script(
            WindowKind::Hop { slide_ms: 5 * MINUTE, size_ms: 10 * MINUTE, offset_ms: 0 },
            "
            08:05 | C
            08:07 | A
            ----
            08:09:59.999 | C | 08:00 | 08:10 | 08:09:59.999
            08:14:59.999 | C | 08:05 | 08:15 | 08:14:59.999
            08:09:59.999 | A | 08:00 | 08:10 | 08:09:59.999
            08:14:59.999 | A | 08:05 | 08:15 | 08:14:59.999
            ",
        );
    }

    #[test]
    fn a_tag_stays_only_behind_a_closed_window() {
        let node_schema = Arc::new(Schema::new(window_fields().to_vec()));
        let input: SchemaRef = Arc::new(Schema::empty());
        let kind = WindowKind::Hop { slide_ms: 5, size_ms: 10, offset_ms: 0 };
        let step = Step::AssignWindow(kind.clone());
        let node = Node { name: "w".into(), inputs: vec![0], step, schema: node_schema };
        let mut op = operator(&node, &kind, &input).unwrap();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(1));
        let columns = RecordBatch::try_new_with_options(input, vec![], &options).unwrap();
        let batch = Batch::new(columns, vec![7].into()).with_tags(Some(vec![12].into()));
        let mut out = Output::default();
        op.on_batch(0, batch, &mut out).unwrap();
        // windows [0, 10) and [5, 15), W_p(row) = 12: the first is closed
        assert_eq!(&out.batches[0].times()[..], [9, 14]);
        assert_eq!((out.batches[0].tag(0), out.batches[0].tag(1)), (Some(12), None));
    }

    /// Row, start and end of each window of each of these times.
    fn assigned(kind: &WindowKind, times: &[i64]) -> Vec<(u32, i64, i64)> {
        let borders = Borders::new(kind).unwrap();
        let found = AssignWindow { borders, schema: Arc::new(Schema::empty()) }.assign(times).unwrap();
        found.rows.into_iter().zip(found.starts).zip(found.ends).map(|((row, start), end)| (row, start, end)).collect()
    }

    proptest! {
        #[test]
        fn windows_are_those_that_hold_the_row(
            times in prop::collection::vec(-1_000i64..1_000, 1..20),
            slide_ms in 1i64..50,
            size_ms in 1i64..120,
            offset_ms in -60i64..60,
        ) {
            let found = assigned(&WindowKind::Hop { slide_ms, size_ms, offset_ms }, &times);
            let mut expected = vec![];
            for (row, t) in times.iter().enumerate() {
                for start in t - 200..=*t {
                    if (start - offset_ms).rem_euclid(slide_ms) == 0 && start + size_ms > *t {
                        expected.push((row as u32, start, start + size_ms));
                    }
                }
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn cumulating_windows_are_those_that_have_reached_the_row(
            times in prop::collection::vec(-1_000i64..1_000, 1..20),
            step_ms in 1i64..20,
            steps in 1i64..7,
            offset_ms in -60i64..60,
        ) {
            let size_ms = step_ms * steps;
            let found = assigned(&WindowKind::Cumulate { step_ms, size_ms, offset_ms }, &times);
            let mut expected = vec![];
            for (row, t) in times.iter().enumerate() {
                let is_start = |s: &i64| (s - offset_ms).rem_euclid(size_ms) == 0;
                let start = (t - size_ms + 1..=*t).find(is_start).unwrap();
                let ends = (1..=steps).map(|n| start + n * step_ms).filter(|end| end > t);
                expected.extend(ends.map(|end| (row as u32, start, end)));
            }
            prop_assert_eq!(found, expected);
        }
    }
}
