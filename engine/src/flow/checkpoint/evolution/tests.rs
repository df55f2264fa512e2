//! Jobs that changed, against the table of the module's header.

use super::*;
use crate::builder::*;
use crate::checkpoint::SourceState;
use crate::flow::checkpoint::combined;
use crate::graph::OverSpec;

fn input(table: &str, delay: u64) -> Table {
    Table::new(table, "generator")
        .column("ts", TIMESTAMP)
        .column("card", BIGINT)
        .column("amount", BIGINT)
        .watermark("ts", seconds(delay))
}

/// The job that has run: sums by card over minutes into `minutes`.
fn before() -> JobGraph {
    job("payments", 5, 1, "minutes")
}

fn job(table: &str, delay: u64, window: u64, output: &str) -> JobGraph {
    let job = Job::new("test");
    job.source(input(table, delay))
        .key_by(["card"])
        .tumble(minutes(window))
        .aggregate([sum("amount").named("total")])
        .sink(Table::new(output, "table"));
    job.build().unwrap()
}

/// A checkpoint of a job.
fn checkpoint(graph: &JobGraph) -> Manifest {
    let steps = || graph.nodes.iter().enumerate();
    let sources = steps().filter_map(|(_, n)| match &n.step {
        Step::Source(s) => Some(SourceState {
            table: s.table.clone(),
            rows: 7,
            bytes: 0,
            late: 0,
            errors: 0,
            watermark_ms: 0,
            errors_watermark_ms: None,
            cut: 0,
            partitions: Vec::new(),
        }),
        _ => None,
    });
    let sinks = steps().filter_map(|(_, n)| match &n.step {
        Step::Sink(s) => Some(SinkState {
            table: s.table.clone(),
            digest: crate::digest::DigestBuilder::new().buckets(),
            rows: 0,
            outboxes: Vec::new(),
            publish: None,
            unrolled_from: 1,
            unrolled: vec![1],
            folded_from: None,
            remade: Vec::new(),
            unrolled_bytes: 9,
            unrolled_since_ms: 0,
            published: 0,
        }),
        _ => None,
    });
    let operators = steps().filter(|(_, n)| stateful(n)).map(|(id, n)| OperatorState {
        node: n.name.clone(),
        version: 1,
        schema: fingerprint(graph, id),
        parts: Vec::new(),
    });
    Manifest {
        format: 1,
        job: graph.name.clone(),
        checkpoint: 4,
        epoch: 9,
        previous: None,
        ancestors: Vec::new(),
        folded: None,
        incarnation: "0".repeat(32),
        created_ms: 0,
        finished: false,
        graph: graph.clone(),
        arrival_quantum_ms: Some(1_000),
        sources: sources.collect(),
        operators: operators.collect(),
        sinks: sinks.collect(),
        segments: Vec::new(),
    }
}

fn fates(changes: &[Change]) -> Vec<(&'static str, &str, Fate)> {
    changes.iter().map(|c| (c.kind, c.name.as_str(), c.fate)).filter(|(_, _, fate)| *fate != Fate::Kept).collect()
}

const BOTH: Allow = Allow { new_state: true, non_restored_state: true };

#[test]
fn the_same_job_keeps_everything() {
    let changes = compare(&checkpoint(&before()), &before());
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(changes.iter().all(|c| c.fate == Fate::Kept && c.why.is_empty()), "{changes:?}");
    decide(&changes, 4, Allow::default()).unwrap();
}

#[test]
fn what_combiners_held_belongs_to_their_step() {
    let mut with_combiners = checkpoint(&before());
    let own = with_combiners.operators[0].clone();
    with_combiners.operators.push(OperatorState { node: combined(&own.node), ..own });
    let same = compare(&with_combiners, &before());
    assert!(same.len() == 3 && same.iter().all(|c| c.fate == Fate::Kept && c.why.is_empty()), "{same:?}");
    let without = compare(&with_combiners, &job("payments", 5, 2, "minutes"));
    assert!(matches!(fates(&without)[..], [("step", _, Fate::Changed)]), "{without:?}");
}

#[test]
fn another_window_loses_its_state_and_needs_the_word() {
    let changes = compare(&checkpoint(&before()), &job("payments", 5, 2, "minutes"));
    let [("step", _, Fate::Changed)] = fates(&changes)[..] else { panic!("{changes:?}") };
    let error = decide(&changes, 4, Allow::default()).unwrap_err().to_string();
    assert!(error.contains("--allow-non-restored-state") && error.contains("nothing was started"), "{error}");
    assert!(decide(&changes, 4, Allow { new_state: true, ..Allow::default() }).is_err());
    decide(&changes, 4, Allow { non_restored_state: true, ..Allow::default() }).unwrap();
}

#[test]
fn another_watermark_or_a_new_input_is_impossible() {
    for now in [job("payments", 6, 1, "minutes"), job("refunds", 5, 1, "minutes")] {
        let changes = compare(&checkpoint(&before()), &now);
        assert!(fates(&changes).iter().any(|(kind, _, fate)| (*kind, *fate) == ("input", Fate::Impossible)));
        let error = decide(&changes, 4, BOTH).unwrap_err().to_string();
        assert!(error.contains("--fresh") && !error.contains("add --allow"), "{error}");
    }
}

#[test]
fn another_output_is_new_and_the_old_one_is_gone_with_what_it_owes() {
    let changes = compare(&checkpoint(&before()), &job("payments", 5, 1, "totals"));
    let fates = fates(&changes);
    assert!(fates.contains(&("output", "totals", Fate::New)), "{changes:?}");
    assert!(fates.contains(&("output", "minutes", Fate::Gone)), "{changes:?}");
    assert!(changes.iter().any(|c| c.name == "minutes" && c.why.contains("not shown yet")), "{changes:?}");
    let error = decide(&changes, 4, Allow::default()).unwrap_err().to_string();
    assert!(
        error.contains("--allow-new-state and --allow-non-restored-state")
            || error.contains("--allow-non-restored-state and --allow-new-state"),
        "{error}"
    );
    decide(&changes, 4, BOTH).unwrap();
}

#[test]
fn a_step_fed_by_another_filter_is_kept_and_says_so() {
    let build = |least: i32| {
        let job = Job::new("test");
        job.source(input("payments", 5))
            .filter(col("amount").gt(lit(least)))
            .key_by(["card"])
            .tumble(minutes(1))
            .aggregate([sum("amount").named("total")])
            .sink(Table::new("minutes", "table"));
        job.build().unwrap()
    };
    let changes = compare(&checkpoint(&build(1)), &build(2));
    let step = changes.iter().find(|c| c.kind == "step").unwrap();
    assert!(step.fate == Fate::Kept && step.why.contains("steps before it have changed"), "{step}");
    decide(&changes, 4, Allow::default()).unwrap();
}

#[test]
fn an_ended_job_does_not_change() {
    let ended = Manifest { finished: true, ..checkpoint(&before()) };
    decide(&compare(&ended, &before()), 4, Allow::default()).unwrap();
    let changes = compare(&ended, &job("payments", 5, 2, "minutes"));
    assert!(decide(&changes, 4, BOTH).unwrap_err().to_string().contains("has read all its input"));
}

#[test]
fn the_quantum_of_arrival_does_not_change_while_answers_depend_on_it() {
    let mut graph = before();
    let then = checkpoint(&graph);
    let now = |ms| RunOptions { arrival_quantum_ms: ms, ..RunOptions::default() };
    settings(&then, &graph, &now(2_000)).unwrap();
    let emission = Emission::Arrival { late_horizon_ms: 0 };
    let over = OverSpec { keys: vec![], frames: vec![], calls: vec![], emission, pseudo: vec![] };
    graph.nodes[1].step = Step::Over(over);
    settings(&then, &graph, &now(1_000)).unwrap();
    let error = settings(&then, &graph, &now(2_000)).unwrap_err().to_string();
    assert!(error.contains("arrival.quantum was 1000 ms up to checkpoint 4 and is 2000 ms now"), "{error}");
    settings(&Manifest { arrival_quantum_ms: None, ..then }, &graph, &now(2_000)).unwrap();
}
