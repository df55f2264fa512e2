//! Keyed windowed aggregation: TUMBLE, HOP and CUMULATE, evenly or by the calendar.
//!
//! A row of input counts in every window `[start, end)` that holds its event time and that its lateness tag does not
//! refuse (`end ≤ tag`). A window fires once, when the watermark reaches its end, and emits one row per key that has rows
//! in it, timed `end − 1 ms`; a window without rows emits nothing.
//!
//! State: per *slice* ([`borders`]: rows that the same windows hold) a table of keys ([`groups`]) with columns of state
//! ([`states`]) made once from the specification ([`plan`]). Where windows are disjoint a slice is a window. Where they
//! overlap, slices enter and leave a running total ([`total`]). Cost per row: one table look-up and one pass over each
//! column of state; per key and slice of a hopping window two more passes; per result row a copy.
//!
//! Some aggregates read columns that are made of the batch's own ([`derived`]); they run whole. What depends on the order
//! of rows is packed into bytes that compare as they do ([`ordered`]); what needs all values at once keeps them ([`bags`]).
//!
//! Roles: [`Role::Whole`] does it all. [`Role::Combine`] keeps slices before the exchange until the watermark completes
//! their first window, then sends them as partial results ([`partial`]); while that does not pay it passes rows on
//! ([`combine`]). [`Role::Merge`] takes both, and is restored from what both have written ([`snapshot`]).

mod bag_results;
mod bags;
pub(crate) mod borders;
mod calendar;
#[cfg(test)]
mod chain_tests;
mod combine;
pub(crate) mod derived;
mod extremes;
pub(crate) mod groups;
mod index;
pub(crate) mod keys;
mod moments;
#[cfg(test)]
mod oracle;
pub(crate) mod ordered;
mod pair_results;
mod partial;
pub(crate) mod parts;
pub(crate) mod plan;
pub(crate) mod results;
pub(crate) mod rows;
mod sets;
pub(crate) mod slices;
mod snapshot;
pub(crate) mod states;
mod sums;
#[cfg(test)]
mod tests;
pub(crate) mod total;
mod trail;
#[cfg(test)]
mod whole_tests;

use arrow_schema::{DataType, SchemaRef, TimeUnit};
use borders::{Borders, Bounds};
use combine::{Passed, Worth};
use groups::Slots;
use highwater_engine::batch::Batch;
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::{CalendarWindows, Node, WindowSpec};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::parts::Role;
use highwater_engine::state::Snapshot;
use highwater_engine::time::{Progress, Watermark};
use plan::Plan;
use results::Results;
use slices::Slices;
use snapshot::Written;
use sums::TooLarge;
use total::{Total, needs_hashes};

/// The operator of `node` in the given role. `input` is the schema of the rows before any combiner in every role.
pub fn operator(
    node: &Node,
    spec: &WindowSpec,
    input: &SchemaRef,
    role: Role,
) -> Result<Box<dyn Operator>, BuildError> {
    Ok(Box::new(window(node, spec, input, role)?))
}

fn window(node: &Node, spec: &WindowSpec, input: &SchemaRef, role: Role) -> Result<Window, BuildError> {
    let plan = Plan::new(&node.name, spec, input)?;
    check_schema(&plan, &node.schema)?;
    Ok(Window::new(&plan, Borders::new(&spec.window)?, input, &node.schema, role))
}

/// The schema of partial results; `None` if the specification is wrong ([`operator`] tells why).
pub fn partials(spec: &WindowSpec, input: &SchemaRef) -> Option<SchemaRef> {
    Plan::new("", spec, input).ok().filter(|p| p.derived.is_empty()).map(|p| p.partials())
}

/// The least `window_time` from which on no window of the calendar began before `from`.
pub fn first_calendar_time(of: &CalendarWindows, from: i64) -> Result<i64, BuildError> {
    Ok(calendar::Calendar::new(of)?.first_time_from(from))
}

/// Whether a node's schema is that of the plan's results.
pub(crate) fn check_schema(plan: &Plan, schema: &SchemaRef) -> Result<(), BuildError> {
    let times = ["window_start", "window_end", "window_time"].len();
    let keys = plan.key_fields.iter().map(|f| f.data_type());
    let wanted = keys.map(Some).chain([None; 3]).chain(plan.results.iter().map(|(_, t)| Some(t)));
    let fits = schema.fields().len() == plan.key_fields.len() + times + plan.results.len()
        && schema.fields().iter().zip(wanted).all(|(f, t)| match t {
            Some(t) => f.data_type() == t,
            None => matches!(f.data_type(), DataType::Timestamp(TimeUnit::Millisecond, _)),
        });
    if fits { Ok(()) } else { Err(BuildError::new(format!("{}: the schema {schema} is not its result's", plan.name))) }
}

/// What is wrong with a sum that leaves its type.
pub(crate) fn too_large(plan: &Plan) -> OperatorError {
    OperatorError::new(format!("{}: a sum of squares exceeds 256 bits; CAST to fewer digits", plan.name))
}

/// A windowed aggregation in one of its roles.
struct Window {
    /// Over rows of the input; over passed rows if there is a combiner.
    plan: Plan,
    borders: Borders,
    role: Role,
    partials: SchemaRef,
    passed: Passed,
    /// Inputs whose values need hashes.
    sets: Vec<bool>,
    slices: Slices,
    /// Of overlapping windows, behind the exchange.
    total: Option<Total>,
    /// End of the last window that fired, while the total is not empty.
    fired: i64,
    watermark: Watermark,
    worth: Worth,
    results: Results,
    written: Written,
}

impl Window {
    fn new(plan: &Plan, borders: Borders, input: &SchemaRef, schema: &SchemaRef, role: Role) -> Self {
        let (passed, over_passed) = Passed::new(plan, &plan.read(input));
        let plan = if role == Role::Whole { plan.clone() } else { over_passed };
        let overlapping = role != Role::Combine && !borders.disjoint();
        let total = overlapping.then(|| Total::new(&plan));
        let partials = plan.partials();
        Self {
            sets: needs_hashes(&plan),
            results: Results::new(if role == Role::Combine { partials.clone() } else { schema.clone() })
                .shown_in(borders.zone()),
            partials,
            passed,
            slices: Slices::new(),
            total,
            fired: i64::MIN,
            watermark: Watermark::START,
            worth: Worth::default(),
            written: Written::default(),
            plan,
            borders,
            role,
        }
    }

    /// Rows into slices.
    fn update(&mut self, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        let closed = self.watermark.ms();
        let batch = derived::with_derived(batch, &self.plan.derived)?;
        out.refused += self.slices.update(&self.plan, &self.borders, &self.sets, batch, closed)?;
        Ok(())
    }

    /// Passes rows on, but for those of hot keys. Late rows go too, with their tags: the owner of the key refuses them.
    fn pass(&mut self, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        if self.worth.hot().is_empty() {
            out.push(batch);
            return Ok(());
        }
        let (hot, others) = self.passed.split(batch, self.worth.hot());
        out.push(others);
        self.update(hot, out)
    }

    /// Sends the slices on that enter a window the watermark completes.
    fn send_partials(&mut self, out: &mut Output) -> Result<(), OperatorError> {
        while let Some((id, slice)) = self.slices.take(self.watermark.ms()) {
            self.worth.judge(&slice);
            let batch = partial::of_slice(&self.plan, &self.partials, id, &slice)?;
            partial::send(&batch, &mut self.results, out);
            self.slices.recycle(slice);
        }
        Ok(())
    }

    /// Fires disjoint windows: each is one slice.
    fn fire_slices(&mut self, out: &mut Output) -> Result<(), OperatorError> {
        while let Some((id, slice)) = self.slices.take(self.watermark.ms()) {
            let (groups, window) = (&slice.groups, Bounds { start: id.last, end: id.enter });
            let slots = Slots::Run(0, groups.slots());
            self.results.emit(&self.plan, &slice.states, groups, slots, window, out)?;
            self.slices.recycle(slice);
        }
        Ok(())
    }

    /// Fires overlapping windows one after the other: slices enter, the total is emitted, slices leave.
    fn fire_total(&mut self, mut total: Total, out: &mut Output) -> Result<Total, OperatorError> {
        loop {
            let next = match total.is_empty() {
                true => self.slices.next_end(),
                false => Some(self.borders.first_end_after(self.fired)),
            };
            let Some(end) = next.filter(|end| self.watermark.closes(*end)) else { return Ok(total) };
            self.enter(&mut total, end)?;
            let window = self.borders.ending_at(end);
            let live = total.live();
            let slots = match &live {
                Some(l) => Slots::List(l),
                None => Slots::Run(0, total.groups().slots()),
            };
            self.results.emit(&self.plan, &total, total.groups(), slots, window, out)?;
            total.leave(self.borders.done_with(window)).map_err(|TooLarge| too_large(&self.plan))?;
            self.fired = end;
        }
    }

    /// The open slices that enter a window ending at or before `end` go into the total.
    fn enter(&mut self, total: &mut Total, end: i64) -> Result<(), OperatorError> {
        while let Some((id, mut slice)) = self.slices.take(end) {
            total.enter(&self.plan, id, &mut slice).map_err(|TooLarge| too_large(&self.plan))?;
            self.slices.recycle(slice);
        }
        Ok(())
    }
}

impl Operator for Window {
    fn on_batch(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        match self.role {
            Role::Whole => self.update(batch, out),
            Role::Merge if self.passed.are_rows(&batch) => self.update(batch, out),
            Role::Merge => partial::merge(&self.plan, &mut self.slices, &batch, self.watermark.ms()),
            Role::Combine => {
                let batch = self.passed.project(batch)?;
                match self.worth.passes(batch.rows()) {
                    false => self.update(batch, out),
                    true => self.pass(batch, out),
                }
            }
        }
    }

    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
        self.watermark = self.watermark.max(progress.watermark);
        match (self.role, self.total.take()) {
            (Role::Combine, _) => self.send_partials(out)?,
            (_, None) => self.fire_slices(out)?,
            (_, Some(total)) => self.total = Some(self.fire_total(total, out)?),
        }
        self.results.flush(out);
        Ok(())
    }

    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        self.write(into)
    }

    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        self.read(from)?;
        if let Some(mut total) = self.total.take() {
            self.enter(&mut total, self.watermark.ms())?;
            if !total.is_empty() {
                // every window fires while the total is not empty
                self.fired = self.borders.last_end(self.watermark.ms());
            }
            self.total = Some(total);
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.slices.bytes() + self.total.as_ref().map_or(0, Total::bytes)
    }
}
