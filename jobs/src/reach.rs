//! `replay`: the part of history a job reads and the part it emits, as a rewrite of its graph.
//!
//! The **reach** of a source ([`JobGraph::reach_of`]) is how far back results look at its rows. On-time rows before
//! `from − reach − bound` can't change a row at or after `from`, so the source drops them (after it has judged lateness by
//! them). In front of every output a [`Step::TimeRange`] keeps the rows of `[from, to)`; a window's time is
//! its last instant, so the windows that begin before `from` are cut off by moving the range by the window's size.

use crate::failure::Failure;
use highwater_engine::graph::{JobGraph, Node, NodeId, Step, TimeRange, WindowKind, WindowSpec};
use highwater_operators::window::first_calendar_time;

/// What a replay is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// First instant emitted; the beginning if none.
    pub from_ms: Option<i64>,
    /// First instant no longer emitted; the end if none.
    pub to_ms: Option<i64>,
    /// Read this much before `from_ms` instead of the reach.
    pub warmup_ms: Option<i64>,
}

/// A rewritten graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// The graph to run.
    pub graph: JobGraph,
    /// The longest reach of a source.
    pub reach_ms: i64,
    /// `warmup_ms` is shorter than that: rows near `from_ms` may lack a part of their past.
    pub inexact: bool,
}

/// Restricts a job to a part of history.
///
/// # Errors
/// A range that is empty, or outputs whose range has no single meaning (frames over windows of several sizes).
pub fn replay(graph: &JobGraph, wanted: Replay) -> Result<Replayed, Failure> {
    let (from, to) = (wanted.from_ms.unwrap_or(i64::MIN), wanted.to_ms.unwrap_or(i64::MAX));
    if from >= to {
        return Err(Failure::usage(format!("replay: --from {from} is not before --to {to}")));
    }
    let reach_ms = graph.reach_ms();
    let range = TimeRange { from_ms: from, to_ms: to };
    let mut graph = if range == TimeRange::ALL { graph.clone() } else { emit_between(graph, range)? };
    limit_reads(&mut graph, range, wanted.warmup_ms);
    Ok(Replayed { graph, reach_ms, inexact: wanted.warmup_ms.is_some_and(|w| w < reach_ms) })
}

/// Sets what each source reads. Where `t$errors` is used, rows behind the range stay: a bad row's time is the watermark,
/// which may lie in the range while the row's own time lies behind it.
fn limit_reads(graph: &mut JobGraph, range: TimeRange, warmup_ms: Option<i64>) {
    let reach: Vec<i64> = (0..graph.nodes.len()).map(|id| graph.reach_of(id)).collect();
    let with_errors: Vec<NodeId> =
        graph.nodes.iter().filter(|n| matches!(n.step, Step::Errors)).flat_map(|n| n.inputs.clone()).collect();
    for (id, node) in graph.nodes.iter_mut().enumerate() {
        if let Step::Source(source) = &mut node.step {
            let back = warmup_ms.unwrap_or(reach[id]).saturating_add(source.watermark_delay_ms);
            source.reads.from_ms =
                if range.from_ms == i64::MIN { i64::MIN } else { range.from_ms.saturating_sub(back) };
            source.reads.to_ms = if with_errors.contains(&id) { i64::MAX } else { range.to_ms };
        }
    }
}

/// Puts a [`Step::TimeRange`] in front of every output.
fn emit_between(graph: &JobGraph, range: TimeRange) -> Result<JobGraph, Failure> {
    let mut cuts: Vec<(NodeId, usize, TimeRange)> = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if matches!(node.step, Step::Sink(_)) {
            for at in 0..node.inputs.len() {
                place_cuts(graph, id, at, range, &mut cuts)?;
            }
        }
    }
    Ok(insert_cuts(graph, &cuts))
}

/// Where the range belongs above input `at` of `user`: there, or above the branches of a union of different windows.
fn place_cuts(
    graph: &JobGraph,
    user: NodeId,
    at: usize,
    range: TimeRange,
    cuts: &mut Vec<(NodeId, usize, TimeRange)>,
) -> Result<(), Failure> {
    let input = graph.nodes[user].inputs[at];
    if let Some(from_ms) = first_time(graph, input, range.from_ms) {
        let cut = (user, at, TimeRange { from_ms, ..range });
        if !cuts.contains(&cut) {
            cuts.push(cut);
        }
        return Ok(());
    }
    let node = &graph.nodes[input];
    match node.step {
        Step::Map(_) | Step::TimeRange(_) | Step::Union => {
            (0..node.inputs.len()).try_for_each(|i| place_cuts(graph, input, i, range, cuts))
        }
        _ => Err(Failure::usage(format!(
            "replay: {} mixes windows of several sizes, so \"windows wholly inside the range\" has no single meaning; \
             replay the whole history, or give each size an output of its own",
            node.name
        ))),
    }
}

/// From which time on the rows of a node lie wholly at or after `from`; `None` if that differs from row to row.
fn first_time(graph: &JobGraph, id: NodeId, from: i64) -> Option<i64> {
    let node = &graph.nodes[id];
    match &node.step {
        _ if from == i64::MIN => Some(from),
        Step::Source(_) | Step::Late | Step::Errors => Some(from),
        Step::Window(WindowSpec { window, .. }) | Step::AssignWindow(window) => Some(first_window_time(window, from)),
        _ => {
            let mut times = node.inputs.iter().map(|&i| first_time(graph, i, from));
            let first = times.next()??;
            times.all(|t| t == Some(first)).then_some(first)
        }
    }
}

/// The least time from which on windows begin at or after `from`.
fn first_window_time(window: &WindowKind, from: i64) -> i64 {
    match *window {
        WindowKind::Tumble { size_ms, .. } | WindowKind::Hop { size_ms, .. } => from.saturating_add(size_ms - 1),
        // How long a session is can't be said before its rows are read: it belongs where it ends.
        WindowKind::Session { .. } => from,
        // Of the windows that hold an instant all have one start, so none that began before the first start after `from`
        // ends behind it.
        WindowKind::Cumulate { size_ms, offset_ms, .. } => {
            let to_next = (i128::from(offset_ms) - i128::from(from)).rem_euclid(i128::from(size_ms));
            from.saturating_add(to_next as i64)
        }
        // the planner has checked its zone
        WindowKind::Calendar(ref of) => first_calendar_time(of, from).unwrap_or(from),
    }
}

/// The graph with a node before each cut, renumbered.
fn insert_cuts(graph: &JobGraph, cuts: &[(NodeId, usize, TimeRange)]) -> JobGraph {
    let mut nodes: Vec<Node> = Vec::with_capacity(graph.nodes.len() + cuts.len());
    let mut moved: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let mut node = node.clone();
        for (at, input) in node.inputs.iter_mut().enumerate() {
            *input = moved[*input];
            if let Some((_, _, range)) = cuts.iter().find(|c| (c.0, c.1) == (id, at)) {
                let range_node = Node {
                    name: format!("{}.range.{at}", graph.nodes[id].name),
                    inputs: vec![*input],
                    step: Step::TimeRange(*range),
                    schema: nodes[*input].schema.clone(),
                };
                nodes.push(range_node);
                *input = nodes.len() - 1;
            }
        }
        nodes.push(node);
        moved.push(nodes.len() - 1);
    }
    JobGraph { name: graph.name.clone(), nodes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_engine::builder::*;

    const FROM: i64 = 1_000_000_000;
    const TO: i64 = 2_000_000_000;
    const PART: Replay = Replay { from_ms: Some(FROM), to_ms: Some(TO), warmup_ms: None };

    fn payments(job: &Job) -> Stream {
        let table = Table::new("payments", "generator").column("card", BIGINT).column("ts", TIMESTAMP);
        job.source(table.watermark("ts", seconds(5)))
    }
    fn out(name: &str) -> Table {
        Table::new(name, "blackhole")
    }
    fn reads(graph: &JobGraph) -> TimeRange {
        let source = |n: &Node| if let Step::Source(s) = &n.step { Some(s.reads) } else { None };
        graph.nodes.iter().find_map(source).unwrap()
    }
    /// The range in front of each sink, or above the branches that lead to it.
    fn ranges(graph: &JobGraph) -> Vec<(i64, i64)> {
        let range = |n: &Node| if let Step::TimeRange(r) = &n.step { Some((r.from_ms, r.to_ms)) } else { None };
        graph.nodes.iter().filter_map(range).collect()
    }

    #[test]
    fn the_reach_is_the_longest_sum_of_frames_and_windows() {
        let job = Job::new("j");
        let minutes_of_cards = payments(&job).key_by(["card"]).tumble(minutes(1)).aggregate([count().named("n")]);
        minutes_of_cards.key_by(["card"]).trailing([over(minutes(10)).sum("n")]).sink(out("a"));
        let graph = job.build().unwrap();
        let replayed = replay(&graph, PART).unwrap();
        assert_eq!(replayed.reach_ms, 11 * 60_000);
        assert_eq!(reads(&replayed.graph), TimeRange { from_ms: FROM - 11 * 60_000 - 5_000, to_ms: TO });
        // Rows of a frame over windows are windows still: one that began before the range is not wholly inside.
        assert_eq!(ranges(&replayed.graph), [(FROM + 59_999, TO)]);
        replayed.graph.validate().unwrap();
    }

    #[test]
    fn frames_that_do_not_read_each_other_do_not_add_up_and_those_that_do_do() {
        let job = Job::new("j");
        let cards = payments(&job).key_by(["card"]).trailing([over(hours(24)).call(count().named("day"))]);
        let both = cards.key_by(["ts"]).trailing([over(hours(1)).call(count().named("hour"))]);
        both.clone().sink(out("a"));
        let replayed = replay(&job.build().unwrap(), PART).unwrap();
        assert_eq!(replayed.reach_ms, 24 * 3_600_000);
        // The hour of the sums of a day looks back at 25 hours.
        both.key_by(["card"]).trailing([over(hours(1)).sum("day")]).sink(out("b"));
        let replayed = replay(&job.build().unwrap(), PART).unwrap();
        assert_eq!(replayed.reach_ms, 25 * 3_600_000);
        assert_eq!(reads(&replayed.graph).from_ms, FROM - 25 * 3_600_000 - 5_000);
    }

    #[test]
    fn rows_are_cut_at_their_time_and_windows_at_their_start() {
        let job = Job::new("j");
        let source = payments(&job);
        source.clone().key_by(["card"]).trailing([over(hours(1)).count()]).sink(out("rows"));
        source.clone().key_by(["card"]).hop(minutes(1), minutes(5)).aggregate([count()]).sink(out("windows"));
        source.late().sink(out("late"));
        let replayed = replay(&job.build().unwrap(), PART).unwrap();
        assert_eq!(ranges(&replayed.graph), [(FROM, TO), (FROM + 299_999, TO), (FROM, TO)]);
        assert_eq!(reads(&replayed.graph).from_ms, FROM - 3_600_000 - 5_000);
    }

    #[test]
    fn growing_windows_are_cut_where_the_next_one_begins() {
        let replayed = |from: i64| {
            let job = Job::new("j");
            payments(&job).key_by(["card"]).cumulate(minutes(1), hours(1)).aggregate([count()]).sink(out("grown"));
            ranges(&replay(&job.build().unwrap(), Replay { from_ms: Some(from), ..PART }).unwrap().graph)
        };
        assert_eq!(replayed(3_600_000), [(3_600_000, TO)]);
        assert_eq!(replayed(3_600_001), [(7_200_000, TO)]);
        assert_eq!(replayed(-1), [(0, TO)]);
    }

    #[test]
    fn a_union_of_windows_is_cut_branch_by_branch() {
        let job = Job::new("j");
        let source = payments(&job);
        let of = |size| source.clone().key_by(["card"]).tumble(size).aggregate([count().named("n")]);
        of(minutes(1)).union(of(hours(1))).sink(out("both"));
        let replayed = replay(&job.build().unwrap(), PART).unwrap();
        assert_eq!(ranges(&replayed.graph), [(FROM + 59_999, TO), (FROM + 3_599_999, TO)]);

        let job = Job::new("j");
        let source = payments(&job);
        let of = |size| source.clone().key_by(["card"]).tumble(size).aggregate([count().named("n")]);
        of(minutes(1)).union(of(hours(1))).key_by(["card"]).trailing([over(hours(2)).sum("n")]).sink(out("mixed"));
        assert!(replay(&job.build().unwrap(), PART).unwrap_err().to_string().contains("several sizes"));
    }

    #[test]
    fn bad_rows_are_read_beyond_the_range() {
        let job = Job::new("j");
        payments(&job).errors().sink(out("errors"));
        let replayed = replay(&job.build().unwrap(), PART).unwrap();
        assert_eq!(reads(&replayed.graph).to_ms, i64::MAX);
    }

    #[test]
    fn without_a_range_everything_is_read_and_emitted() {
        let job = Job::new("j");
        payments(&job).key_by(["card"]).tumble(minutes(1)).aggregate([count()]).sink(out("a"));
        let replayed = replay(&job.build().unwrap(), Replay::default()).unwrap();
        assert_eq!(reads(&replayed.graph), TimeRange::ALL);
        assert_eq!(ranges(&replayed.graph), []);
        assert!(!replayed.inexact);
        let backwards = Replay { from_ms: Some(2), to_ms: Some(1), warmup_ms: None };
        assert_eq!(replay(&job.build().unwrap(), backwards).unwrap_err().exit_code(), 2);
    }
}
