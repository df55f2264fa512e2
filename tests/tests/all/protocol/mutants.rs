//! The protocol with one rule broken, for every rule: each must be caught, else the rule or the model is idle.
//!
//! The first seven break the commit protocol. Each gets as far as the reader of the sink, who sees a row twice or misses
//! one. The others break what surrounds it; where no reader is named, fence and marker still keep him from rows twice or
//! missing. I1 to I7 are each broken by some mutant. `traces.txt` has the shortest way to what breaks first and, if it comes
//! later, to the reader.

use super::invariants::{ALL, Invariant};
use super::search::{Size, Violation, search};
use super::steps::{Protocol, Step};
use super::{VARIABLE_CUTS, key};
use Invariant::{
    ExactlyOnce, FilesExist, ManifestFirst, OneChain, OneProducer, StateIsFold, TagsAreRecorded, VisibleIsMarked,
};

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A restart takes the checkpoint it restored for published.
    NoRepublish,
    /// There is no marker: a restart publishes all that is retained.
    NoMarker,
    /// The marker is read, then the old producer is fenced.
    MarkerBeforeFencing,
    /// Rows leave first; the manifest follows when they are committed.
    PublishBeforeManifest,
    /// A manifest is written over whatever has its name.
    OverwritableManifest,
    /// The marker is written after the transaction of the rows.
    MarkerNotAtomic,
    /// A manifest is named by its epoch, not by the dense number of the checkpoint.
    NamedByEpoch,
    /// Having created a manifest, the incarnation goes on without looking for a newer one.
    NoLookAfterCreate,
    /// Files are named by the checkpoint, without the incarnation.
    FilesNamedByNumber,
    /// Orphans of a checkpoint are collected before its manifest exists.
    OrphansBeforeManifest,
    /// A checkpoint is collected though its outbox is not published.
    CollectsUnpublished,
    /// `init_transactions` leaves older producers as they are.
    NoFencing,
    /// A commit without reply counts as failed, and the same producer sends again.
    SilenceIsFailure,
    /// A row after the cut is folded into the state before it is copied out.
    RowsPastTheCut,
    /// A decision tags the output and is not recorded.
    DecisionNotRecorded,
    /// Rows whose files are damaged are made again by other cuts than those of their manifest, and nobody compares.
    RepeatsByNewCuts,
    /// A manifest that becomes a fold point forgets the one that it names itself.
    ForgetsFoldPoint,
    /// With damaged files the job stands on the older checkpoint that it loads, and makes those behind it anew.
    RewindsInsteadOfRepeating,
}

/// What a mutant breaks first, and the rows that a reader of the sink then sees, one group per transaction.
struct Case {
    mutant: Mutant,
    breaks: &'static [Invariant],
    reader_sees: Option<&'static str>,
}

const fn case(mutant: Mutant, breaks: &'static [Invariant], reader_sees: Option<&'static str>) -> Case {
    Case { mutant, breaks, reader_sees }
}

const CASES: [Case; 18] = [
    case(Mutant::NoRepublish, &[VisibleIsMarked], Some("1")),
    case(Mutant::NoMarker, &[VisibleIsMarked, ExactlyOnce], Some("0 | 0")),
    case(Mutant::MarkerBeforeFencing, &[VisibleIsMarked, ExactlyOnce], Some("0 | 0")),
    case(Mutant::PublishBeforeManifest, &[VisibleIsMarked, ManifestFirst], Some("0 | 2")),
    case(Mutant::OverwritableManifest, &[OneChain], Some("0 1 | 1")),
    case(Mutant::MarkerNotAtomic, &[VisibleIsMarked], Some("0 | 0")),
    case(Mutant::NamedByEpoch, &[OneChain], Some("0 | 0")),
    case(Mutant::NoLookAfterCreate, &[OneChain], None),
    case(Mutant::FilesNamedByNumber, &[FilesExist], None),
    case(Mutant::OrphansBeforeManifest, &[FilesExist], None),
    case(Mutant::CollectsUnpublished, &[VisibleIsMarked], Some("0 1 | 1")),
    case(Mutant::NoFencing, &[OneProducer], Some("0 | 0")),
    case(Mutant::SilenceIsFailure, &[VisibleIsMarked, ExactlyOnce], Some("0 | 0")),
    case(Mutant::RowsPastTheCut, &[StateIsFold], None),
    case(Mutant::DecisionNotRecorded, &[TagsAreRecorded], None),
    case(Mutant::RepeatsByNewCuts, &[VisibleIsMarked, ExactlyOnce], Some("1")),
    case(Mutant::ForgetsFoldPoint, &[VisibleIsMarked, ExactlyOnce], Some("1")),
    case(Mutant::RewindsInsteadOfRepeating, &[OneChain], Some("0 1 | 1")),
];

fn search_with(mutant: Mutant, watched: &[Invariant]) -> Result<Size, Violation> {
    // A zombie and its successor are enough.
    let damages_max = u8::from(matches!(mutant, Mutant::RepeatsByNewCuts | Mutant::RewindsInsteadOfRepeating));
    let protocol = Protocol { mutant: Some(mutant), cuts: VARIABLE_CUTS, starts_max: 2, collects: true, damages_max };
    search(&protocol, watched, key::canonical, |_, _| ())
}

/// The rows of the visible transactions, like `0 1 | 2`.
fn rows_seen(violation: &Violation) -> String {
    let transactions = violation.state.seen().iter().map(|t| {
        let rows = (0..u8::BITS).filter(|r| t.outbox.rows & (1 << r) != 0);
        rows.map(|r| r.to_string()).collect::<Vec<_>>().join(" ")
    });
    transactions.collect::<Vec<_>>().join(" | ")
}

fn write_trace(text: &mut String, title: &str, trace: &[Step]) {
    *text += &format!("{title}\n");
    trace.iter().for_each(|step| *text += &format!("  {step}\n"));
}

#[test]
fn every_mutant_is_caught() {
    let mut text = String::new();
    for Case { mutant, breaks, reader_sees } in CASES {
        let first = search_with(mutant, &ALL).expect_err("a broken rule breaks something");
        assert_eq!(first.broken, breaks, "{mutant:?}: {:#?}", first.trace);
        let names: Vec<_> = breaks.iter().map(Invariant::to_string).collect();
        write_trace(&mut text, &format!("{mutant:?} breaks {}", names.join(", ")), &first.trace);

        let harm = search_with(mutant, &[ExactlyOnce]).err();
        assert_eq!(harm.as_ref().map(rows_seen).as_deref(), reader_sees, "{mutant:?}: {harm:#?}");
        if let Some(harm) = harm
            && !breaks.contains(&ExactlyOnce)
        {
            write_trace(&mut text, &format!("{mutant:?}: a reader sees {}", rows_seen(&harm)), &harm.trace);
        }
    }
    let expected = include_str!("traces.txt");
    assert!(text == expected, "traces differ; now:\n{text}");
}
