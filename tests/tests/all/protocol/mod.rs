//! The commit protocol as a model: every state it can reach within bounds is visited and checked.
//!
//! A crash matrix kills a real process where it happens to be; this search tries *all* interleavings of two incarnations,
//! a broker and death, on a model small enough to be exhaustive. Where the engine must differ, the model changes first.
//!
//! # The protocol
//! 1. A start chooses the newest **manifest** and loads the files it names. Its random id is the **incarnation**.
//! 2. It reads on to a **cut**: rows, divided into **epochs**, become **checkpoint** C = previous + 1. State parts and
//!    **outbox** (the rows for the sink) are staged in files named by checkpoint *and incarnation*.
//! 3. It creates manifest C *if absent*. Taken: a successor was faster, exit. Created: it *looks for a newer one*; there
//!    is one if C had been collected, then exit. Only now is the checkpoint made.
//! 4. Beside that, a publisher: `init_transactions` fences the producers before it, *then* it reads the **marker**, then it
//!    sends outboxes marker + 1, marker + 2, … of the manifests it stands on, each in one transaction with its marker.
//!    After any error or time-out the producer is dropped and all this begins again. Fenced, and there is a newer manifest
//!    than its own: whoever made it has taken over, exit.
//!    Which outboxes those are it learns from lists: each manifest lists the checkpoint before it and leaves the others to
//!    the **fold point** that it names, an older manifest whose list goes on in the same way.
//! 5. Marker ahead of the own newest manifest: look at the store once. The manifest is there: another incarnation is ahead,
//!    exit. It is not: the store was rolled back, halt.
//! 6. Damaged files: a start loads an older checkpoint that is whole, or begins, and *repeats* those behind it by the
//!    recorded cuts and decisions. It stands on the newest manifest as if it had loaded that; damaged outboxes it has made
//!    again. Whoever meets a damaged outbox without that exits, and starts again.
//! 7. It collects the oldest checkpoint once it is published and not the newest: first the manifest, then its files. Files
//!    of C that manifest C does not name go only once manifest C exists.
//!
//! # What is modelled
//! * One input partition of three rows, one sink shard, two instances of which either may be a **zombie**, at most four
//!   starts. A checkpoint covers 1 or 2 rows and 1 or 2 epochs, chosen anew by every incarnation, as are its decisions: so
//!   numbers, epochs, positions and outputs differ between incarnations. One checkpoint is retained beside unpublished ones.
//! * Death before and after every step. A commit whose reply is lost: it took effect, will take effect later, or never will.
//!   A request to the store that outlives its sender is a sender that dies right after it.
//! * A producing transaction that never commits is a commit that never takes effect. Producer epochs and incarnations are
//!   only compared, so states that differ in their names alone count as one (`key`).
//! * Damage of the files of one checkpoint, at any time.
//!
//! Not modelled: damaged manifests, publications of several checkpoints, power loss (what fsync keeps), several shards,
//! sinks without transactions (files, HTTP, immediate output), savepoints, transactions torn by a slow coordinator, clocks,
//! where reading begins (a start at the end of a topic is a decision of the first checkpoint, as others are).
//!
//! # What is checked
//! The invariants of `invariants` in every state; that every step is taken somewhere, so that no rule is idle; that from
//! every state one more start, left alone, delivers the rest. `mutants` break one rule each and must be caught.
//!
//! | search | states | transitions |
//! |---|---|---|
//! | variable cuts, collecting | 2,504,064 | 13,859,129 |
//! | two cuts, collecting, damage, at most three starts | 575,281 | 3,286,003 |
//! | fixed cuts (one epoch per checkpoint), not collecting | 742,926 | 4,334,439 |
//!
//! The serial model that the design began with had fixed cuts, 133,297 states and 514,928 transitions. It published a
//! checkpoint before it cut the next and exited at any unknown outcome. Here publishing goes on beside checkpointing, so
//! checkpoints can wait unpublished; a time-out is survived; commit, reply, load and look are steps of their own. With names
//! told apart, as they were there, the last search has 3,016,597 states and 17,311,682 transitions.

mod checkpoint;
mod invariants;
mod key;
mod mutants;
mod publish;
mod search;
mod state;
mod steps;

use invariants::ALL;
use search::{Size, search};
use state::{ALL_ROWS, Cut, State};
use std::collections::HashSet;
use std::mem::discriminant;
use steps::{Action, Protocol, Step};

const fn cut(rows: u8, epochs: u8, decision: u8) -> Cut {
    Cut { rows, epochs, decision }
}

/// Two incarnations cover the same rows in different epochs and with different decisions, or don't cover the same rows.
const VARIABLE_CUTS: &[Cut] = &[cut(1, 1, 0), cut(1, 2, 1), cut(2, 1, 1)];

/// A repeated checkpoint that were cut or decided anew would differ.
const TWO_CUTS: &[Cut] = &[cut(1, 1, 0), cut(2, 2, 1)];

/// One epoch per checkpoint: both have the same number.
const FIXED_CUTS: &[Cut] = &[cut(1, 1, 0), cut(1, 1, 1), cut(2, 1, 0), cut(2, 1, 1)];

fn intact(cuts: &'static [Cut], starts_max: u8, collects: bool) -> Protocol {
    Protocol { mutant: None, cuts, starts_max, collects, damages_max: 0 }
}

fn check(protocol: &Protocol, expected: Size, visit: impl FnMut(&State, &[(Step, State)])) {
    match search(protocol, &ALL, key::canonical, visit) {
        Ok(size) => {
            println!("{} states, {} transitions", size.states, size.transitions);
            assert_eq!(size, expected);
        }
        Err(violation) => panic!("{:?} after {:#?}", violation.broken, violation.trace),
    }
}

/// Whether one more incarnation, left alone, brings the rest of the input to the sink.
fn one_more_start_delivers_the_rest(protocol: &Protocol, from: &State) -> bool {
    let (mut state, mut successors) = (*from, Vec::new());
    let starts = from.starts + 1;
    loop {
        protocol.successors(&state, &mut successors);
        let undisturbed = |(step, next): &&(Step, State)| {
            next.starts <= starts && !matches!(step.action, Action::Die | Action::TimeOut | Action::Damage(_))
        };
        let Some((_, next)) = successors.iter().find(undisturbed) else { break };
        state = *next;
    }
    let rows = state.seen().iter().fold(0, |rows, t| rows | t.outbox.rows);
    rows == ALL_ROWS && ALL.iter().all(|i| i.holds(&state))
}

#[test]
fn every_state_keeps_every_invariant() {
    let protocol = intact(VARIABLE_CUTS, 4, true);
    let mut taken = HashSet::new();
    check(&protocol, Size { states: 2_504_064, transitions: 13_859_129 }, |state, successors| {
        taken.extend(successors.iter().map(|(step, _)| discriminant(&step.action)));
        if state.alive().next().is_none() && state.starts < protocol.starts_max {
            assert!(one_more_start_delivers_the_rest(&protocol, state), "{state:#?}");
        }
    });
    assert_eq!(taken.len(), 20, "all but halting and a mutant's way to write the marker");
}

#[test]
fn damage_is_made_good() {
    let protocol = Protocol { damages_max: 1, ..intact(TWO_CUTS, 3, true) };
    let mut taken = HashSet::new();
    check(&protocol, Size { states: 575_281, transitions: 3_286_003 }, |state, successors| {
        taken.extend(successors.iter().map(|(step, _)| discriminant(&step.action)));
        if state.alive().next().is_none() && state.starts < protocol.starts_max {
            assert!(one_more_start_delivers_the_rest(&protocol, state), "{state:#?}");
        }
    });
    let of_damage = [Action::Damage(1), Action::Repeat(0), Action::FindDamaged(1)];
    assert!(of_damage.iter().all(|action| taken.contains(&discriminant(action))));
}

#[test]
fn fixed_cuts_keep_every_invariant() {
    check(&intact(FIXED_CUTS, 4, false), Size { states: 742_926, transitions: 4_334_439 }, |_, _| ());
}

/// The search under new names finds as many states as a search that knows nothing of renaming finds up to names.
#[test]
fn renaming_incarnations_hides_no_state() {
    let protocol = intact(VARIABLE_CUTS, 2, true);
    let mut canonical = HashSet::new();
    let plain = search(&protocol, &ALL, key::plain, |state, _| _ = canonical.insert(key::canonical(state))).unwrap();
    let renamed = search(&protocol, &ALL, key::canonical, |_, _| ()).unwrap();
    assert_eq!(renamed.states, canonical.len());
    assert!(plain.states > renamed.states);
}
