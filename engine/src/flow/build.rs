//! Graph → one timely dataflow, on one worker.
//!
//! Every stream carries [`Packet`]s. A source is an input handle that the worker's loop feeds; a stateless step hangs on
//! its input directly; a stateful one sits behind an exchange by key and beside the marks. A step that can combine runs
//! twice when there are several workers: before the exchange and behind it. Bad rows of all stateless steps meet in one
//! stream; `t$errors` of a table is what of it belongs to that table. Steps that read `t$errors` are built last.

use super::adapter::{Flow, Marks, Next, Reader, Unit, stateful, stateless};
use super::checkpoint::{Barriers, Piece, Restored, Station, combined};
use super::control::Control;
use super::exchange::{ByAddress, ByKey};
use super::intake::Intake;
use super::outlet::{End, EpochClock, Outlet, outlet};
use super::pace::Pace;
use super::packet::{Packet, Payload};
use super::report::microseconds;
use super::shape::{Shape, is_stateless, source_of};
use super::tally::{Base, Tally};
use crate::batch::Batch;
use crate::digest::DigestBuilder;
use crate::error::{BuildError, JobError};
use crate::graph::{JobGraph, Node, NodeId, RunOptions, SourceSpec, Step};
use crate::metrics::JobMetrics;
use crate::operator::BadRow;
use crate::parts::{Parts, Role};
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::SchemaRef;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::generic::operator::Operator as _;
use timely::dataflow::operators::{Concatenate, Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, Scope};

pub(super) type Handle = InputHandle<u64, CapacityContainerBuilder<Packet>>;

/// What all workers of an attempt share.
pub(super) struct Plan {
    pub(super) graph: JobGraph,
    pub(super) parts: Arc<dyn Parts>,
    pub(super) options: RunOptions,
    pub(super) control: Control,
    pub(super) metrics: Arc<JobMetrics>,
    pub(super) intakes: Vec<Arc<Intake>>,
    /// The graph's sink nodes, and what becomes of their rows.
    pub(super) sinks: Vec<(NodeId, End)>,
    pub(super) shape: Shape,
    pub(super) clock: EpochClock,
    pub(super) pace: Pace,
    pub(super) tally: Tally,
    pub(super) barriers: Arc<Barriers>,
    /// What the attempt goes on from, and what had been counted then.
    pub(super) restored: Restored,
    pub(super) base: Base,
}

impl Plan {
    /// A step's side of the barriers.
    fn station<T>(&self, worker: usize) -> Station<T> {
        Station::new(self.barriers.clone(), worker, self.restored.epoch())
    }

    /// The table of a sink.
    pub(super) fn sink_table(&self, sink: usize) -> &str {
        match &self.graph.nodes[self.sinks[sink].0].step {
            Step::Sink(spec) => &spec.table,
            _ => unreachable!("a sink's node is a sink"),
        }
    }
}

/// One worker's dataflow, as the worker's loop sees it.
pub(super) struct Built {
    /// Rows of each source.
    pub(super) rows: Vec<Handle>,
    /// Bad rows of all sources.
    pub(super) bad: Handle,
    pub(super) marks: Handle,
    pub(super) probe: ProbeHandle<u64>,
    /// Ends of sinks, each with its position in [`Plan::sinks`].
    pub(super) outlets: Vec<(usize, Rc<RefCell<Outlet>>)>,
    /// Pieces of this worker in every checkpoint, beside what it has read.
    pub(super) pieces: usize,
}

impl Built {
    /// All inputs.
    pub(super) fn handles(&mut self) -> impl Iterator<Item = &mut Handle> {
        self.rows.iter_mut().chain([&mut self.bad, &mut self.marks])
    }
}

/// Builds the dataflow of one worker.
pub(super) fn build(scope: Scope<'_, u64>, plan: &Plan) -> Result<Built, JobError> {
    let (marks_in, marks) = scope.new_input::<Packet>();
    let marks =
        marks.unary::<CapacityContainerBuilder<Packet>, _, _, _>(DistributorPact(|_| ByAddress), "marks", |_, _| {
            |input, output| input.for_each(|cap, packet| output.session(&cap).give_container(packet))
        });
    let (bad_in, bad) = scope.new_input::<Packet>();
    let mut w = Weaver {
        scope,
        plan,
        marks,
        flows: vec![None; plan.graph.nodes.len()],
        taken: vec![false; plan.graph.nodes.len()],
        bad: vec![bad],
        errors: None,
        rows: Vec::new(),
        ends: Vec::new(),
        outlets: Vec::new(),
        pieces: 0,
    };
    for late_pass in [false, true] {
        if late_pass {
            let bad = std::mem::take(&mut w.bad);
            w.errors = Some(scope.concatenate(bad));
        }
        for (id, node) in
            plan.graph.nodes.iter().enumerate().filter(|(id, _)| plan.shape.behind_errors[*id] == late_pass)
        {
            w.node(id, node)?;
        }
    }
    w.count_errors();
    // What steps behind t$errors find bad has no partition to name: the operators halt instead, so nothing is lost here.
    let probe = ProbeHandle::new();
    scope.concatenate(w.ends).probe_with(&probe);
    Ok(Built { rows: w.rows, bad: bad_in, marks: marks_in, probe, outlets: w.outlets, pieces: w.pieces })
}

/// The dataflow being woven.
struct Weaver<'s, 'p> {
    scope: Scope<'s, u64>,
    plan: &'p Plan,
    marks: Flow<'s>,
    flows: Vec<Option<Flow<'s>>>,
    /// Steps that the step before them runs: its stream is theirs.
    taken: Vec<bool>,
    bad: Vec<Flow<'s>>,
    errors: Option<Flow<'s>>,
    rows: Vec<Handle>,
    ends: Vec<Flow<'s>>,
    outlets: Vec<(usize, Rc<RefCell<Outlet>>)>,
    pieces: usize,
}

impl<'s> Weaver<'s, '_> {
    fn input(&self, node: &Node, i: usize) -> Flow<'s> {
        self.flows[node.inputs[i]].clone().expect("inputs stand before their users: checked when the plan was made")
    }
    fn input_schema(&self, node: &Node) -> SchemaRef {
        self.plan.graph.nodes[node.inputs[0]].schema.clone()
    }

    fn node(&mut self, id: NodeId, node: &Node) -> Result<(), JobError> {
        let flow = match &node.step {
            Step::Source(_) => {
                let (handle, flow) = self.scope.new_input::<Packet>();
                self.rows.push(handle);
                flow
            }
            _ if self.taken[id] => self.input(node, 0),
            Step::Map(_) | Step::TimeRange(_) | Step::AssignWindow(_) | Step::Late => {
                let unit = self.unit(id, node, Role::Whole, true)?;
                let (rows, bad) = stateless(self.scope, unit, self.input(node, 0));
                self.bad.push(bad);
                rows
            }
            Step::Window(spec) => self.keyed(id, node, &spec.keys)?,
            Step::Over(spec) => self.keyed(id, node, &spec.keys)?,
            Step::TopN(spec) => self.keyed(id, node, &spec.keys)?,
            Step::Union => {
                self.scope.concatenate((0..node.inputs.len()).map(|i| self.input(node, i)).collect::<Vec<_>>())
            }
            Step::Errors => self.errors_of(id, node)?,
            Step::Sink(_) => return self.sink(id, node),
        };
        self.flows[id] = Some(flow);
        Ok(())
    }

    fn unit(&mut self, id: NodeId, node: &Node, role: Role, keeps_identity: bool) -> Result<Unit, JobError> {
        let operator = self.plan.parts.operator(node, &self.input_schema(node), role)?;
        let name = if role == Role::Combine { combined(&node.name) } else { node.name.clone() };
        let metrics = self.plan.metrics.operator(id, self.scope.index());
        let (control, station) = (self.plan.control.clone(), self.plan.station(self.scope.index()));
        let tally = self.plan.tally.clone();
        let next = if role == Role::Combine { None } else { self.next(id, node, keeps_identity)? };
        Ok(Unit { name, operator, control, metrics, keeps_identity, station, tally, next })
    }

    /// A unit with state: it begins with what the checkpoint kept of its keys. A combiner begins empty, because what
    /// combiners held is merged behind the exchange.
    fn unit_with_state(&mut self, id: NodeId, node: &Node, role: Role, keeps_identity: bool) -> Result<Unit, JobError> {
        let mut unit = self.unit(id, node, role, keeps_identity)?;
        self.pieces += 1;
        if role != Role::Combine
            && let Some(state) = self.plan.restored.take_state(&node.name, self.scope.index(), self.scope.peers())
        {
            let failed = |error| JobError::Operator { step: node.name.clone(), error };
            unit.operator.restore(state).map_err(failed)?;
        }
        Ok(unit)
    }

    /// A keyed step: exchange, then the operator; with a combiner in front where the step has one and it pays.
    fn keyed(&mut self, id: NodeId, node: &Node, keys: &[usize]) -> Result<Flow<'s>, JobError> {
        let peers = self.scope.peers();
        let (promises, held_ms) = (self.plan.shape.promises[id].clone(), self.held_ms(id));
        let marks = || Marks::new(promises.clone(), peers, held_ms);
        let identity = self.plan.shape.identity[id];
        let partials = self.plan.parts.partials(node, &self.input_schema(node)).filter(|_| peers > 1);
        if partials.is_none() {
            let keys = keys.to_vec();
            let unit = self.unit_with_state(id, node, Role::Whole, identity)?;
            return Ok(stateful(
                self.scope,
                unit,
                self.input(node, 0),
                DistributorPact(move |peers| ByKey::new(keys, identity, peers)),
                self.marks.clone(),
                marks(),
            ));
        }
        let combine = self.unit_with_state(id, node, Role::Combine, false)?;
        let partial = stateful(self.scope, combine, self.input(node, 0), Pipeline, self.marks.clone(), marks());
        let merge = self.unit_with_state(id, node, Role::Merge, false)?;
        let keys = (0..keys.len()).collect();
        let by_key = DistributorPact(move |peers| ByKey::new(keys, false, peers).hashed());
        Ok(stateful(self.scope, merge, partial, by_key, self.marks.clone(), marks()))
    }

    /// How far rows may lie below the watermark. A session that ends 1 ms below it may still be open. An `arrival` step
    /// before this one holds rows for their cut: a row of cut k is not below kΔ − its source's delay, and while the cut is
    /// open the watermark is not above (k + 1)Δ.
    fn held_ms(&self, id: NodeId) -> i64 {
        let sessions = self.plan.shape.sessions[id];
        if !self.plan.shape.behind_arrival[id] {
            return sessions;
        }
        let delay = |&p: &usize| self.plan.intakes[source_of(p)].spec.watermark_delay_ms;
        let delay_ms = self.plan.shape.promises[id].iter().map(delay).max().unwrap_or(0);
        self.plan.options.arrival_quantum_ms.saturating_add(delay_ms.max(0)).saturating_add(sessions)
    }

    fn sink(&mut self, id: NodeId, node: &Node) -> Result<(), JobError> {
        if let Some(end) = self.outlet(id, node)? {
            self.ends.push(outlet(self.input(node, 0), &node.name, end));
        }
        Ok(())
    }

    /// This worker's end of a sink, if the node is one that the job runs; made when it is first asked for.
    fn outlet(&mut self, id: NodeId, node: &Node) -> Result<Option<Rc<RefCell<Outlet>>>, JobError> {
        let Step::Sink(spec) = &node.step else { return Ok(None) };
        let Some(position) = self.plan.sinks.iter().position(|(n, _)| *n == id) else { return Ok(None) };
        if let Some((_, made)) = self.outlets.iter().find(|(p, _)| *p == position) {
            return Ok(Some(made.clone()));
        }
        let worker = self.scope.index();
        let target = self.plan.sinks[position].1.target(worker);
        let target = target.map_err(|error| JobError::Sink { table: spec.table.clone(), error })?;
        self.pieces += 1;
        let outlet = Rc::new(RefCell::new(Outlet {
            table: spec.table.clone(),
            sink: position,
            target,
            station: self.plan.station(worker),
            digest: DigestBuilder::new(),
            latency_us: microseconds(),
            clock: self.plan.clock.clone(),
            control: self.plan.control.clone(),
            metrics: self.plan.metrics.operator(id, worker),
        }));
        self.outlets.push((position, outlet.clone()));
        Ok(Some(outlet))
    }

    /// What alone reads a node's rows and can take them at once: they need not wait in between, where they would leave the
    /// caches. A step that may find bad rows takes them only from steps that can pass those on: not from one with state.
    fn next(&mut self, id: NodeId, node: &Node, keeps_identity: bool) -> Result<Option<Rc<Next>>, JobError> {
        let plan = self.plan;
        let mut readers = plan.graph.nodes.iter().enumerate().filter(|(_, n)| n.inputs.contains(&id));
        let (Some((reader, read)), None) = (readers.next(), readers.next()) else { return Ok(None) };
        Ok(match &read.step {
            Step::Sink(_) => self.outlet(reader, read)?.map(|end| Next::new(Reader::Sink(end))),
            Step::Map(_) | Step::TimeRange(_) | Step::AssignWindow(_) if is_stateless(node) || !keeps_identity => {
                let unit = self.unit(reader, read, Role::Whole, true)?;
                self.taken[reader] = true;
                Some(Next::new(Reader::Step(Box::new(RefCell::new(unit)))))
            }
            _ => None,
        })
    }

    /// The bad rows of one table, as rows.
    fn errors_of(&mut self, id: NodeId, node: &Node) -> Result<Flow<'s>, JobError> {
        let (source, spec) = self.table(node.inputs[0])?;
        let Some(all) = self.errors.clone() else {
            return Err(BuildError::new(format!("{} reads bad rows before they exist", node.name)).into());
        };
        let (schema, control, name) = (node.schema.clone(), self.plan.control.clone(), node.name.clone());
        let names: Vec<String> = self.plan.intakes[source].source.partitions().iter().map(|p| p.name.clone()).collect();
        let metrics = self.plan.metrics.operator(id, self.scope.index());
        Ok(all.unary::<CapacityContainerBuilder<Packet>, _, _, _>(Pipeline, &node.name, move |_, _| {
            move |input, output| {
                input.for_each(|cap, packet| {
                    let Payload::Bad(rows) = packet.take() else { return };
                    let rows: Vec<BadRow> = rows.into_iter().filter(|r| r.source as usize == source).collect();
                    if rows.is_empty() {
                        return;
                    }
                    metrics.record_rows(rows.len());
                    match error_rows(&rows, &names, spec.time_min_ms, &schema) {
                        Ok(batch) => output.session(&cap).give_container(&mut Packet::rows(batch)),
                        Err(e) => control.fail(JobError::Build(BuildError::new(format!("{name}: {e}")))),
                    }
                });
            }
        }))
    }

    fn table(&self, node: NodeId) -> Result<(usize, SourceSpec), JobError> {
        match (&self.plan.graph.nodes[node].step, self.plan.shape.source[node]) {
            (Step::Source(spec), Some(source)) => Ok((source, spec.clone())),
            _ => Err(BuildError::new(format!("{} is not a source", self.plan.graph.nodes[node].name)).into()),
        }
    }

    /// Every bad row is counted, whether the job routes it or not.
    fn count_errors(&mut self) {
        let Some(all) = self.errors.clone() else { return };
        let (tally, mut station) = (self.plan.tally.clone(), self.plan.station(self.scope.index()));
        self.pieces += 1;
        let mut counts = vec![0; self.plan.intakes.len()];
        let counted = all.unary_frontier::<CapacityContainerBuilder<Packet>, _, _, _>(
            Pipeline,
            "errors",
            move |capability, _| {
                drop(capability);
                let count = move |rows: Vec<BadRow>, counts: &mut [u64]| {
                    rows.iter().for_each(|row| counts[row.source as usize] += 1);
                    tally.note_bad(rows);
                };
                move |(input, frontier), _| {
                    input.for_each(|capability, packet| {
                        let Payload::Bad(rows) = packet.take() else { return };
                        match station.must_wait(capability.least().copied()) {
                            true => station.hold(rows),
                            false => count(rows, &mut counts),
                        }
                    });
                    let open = frontier.frontier().first().copied().unwrap_or(u64::MAX);
                    if let Some(barrier) = station.reached(open) {
                        let held = station.pass(barrier, Piece::Errors { rows: counts.clone() });
                        held.into_iter().for_each(|rows| count(rows, &mut counts));
                    }
                }
            },
        );
        self.ends.push(counted);
    }
}

/// Rows of `t$errors`. Before a partition's first valid row the watermark is `time_min_ms`.
fn error_rows(
    rows: &[BadRow],
    names: &[String],
    time_min_ms: i64,
    schema: &SchemaRef,
) -> Result<Batch, arrow::error::ArrowError> {
    let times: Vec<i64> =
        rows.iter().map(|r| if r.watermark == i64::MIN { time_min_ms } else { r.watermark }).collect();
    let name = |r: &BadRow| names.get(r.partition as usize).map(String::as_str);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(name).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.offset).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| Some(r.reason.as_str())).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.raw.as_deref()).collect::<BinaryArray>()),
        Arc::new(TimestampMillisecondArray::from(times.clone())),
    ];
    Ok(Batch::new(RecordBatch::try_new(schema.clone(), columns)?, times.into()))
}
