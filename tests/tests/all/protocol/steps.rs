//! What can happen next: a start, a death, a step of an incarnation, an answer of the broker.

use super::mutants::Mutant;
use super::state::{Cut, Digest, Instance, Manifest, Producer, Publisher, State, Work};
use std::fmt;

/// The protocol, within bounds, intact or with one rule broken.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The rule that is broken.
    pub mutant: Option<Mutant>,
    /// Where a checkpoint can end.
    pub cuts: &'static [Cut],
    /// Starts of the job.
    pub starts_max: u8,
    /// Whether old checkpoints are collected.
    pub collects: bool,
    /// How often files of a checkpoint become damaged.
    pub damages_max: u8,
}

/// One transition, as a trace prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who takes it; 0 is the broker.
    pub incarnation: u8,
    /// What is done and, if it has several, which outcome.
    pub action: Action,
}

/// What a step does. The numbers are names of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new incarnation chooses the newest manifest; 0: there is none.
    Start(u8),
    /// It loads what the manifest names.
    Load,
    /// It can't: others went on and collected it.
    FindFilesGone,
    /// Files are damaged: it loads an older checkpoint (0: it begins) and repeats those behind it.
    Repeat(u8),
    /// Files of this checkpoint become damaged.
    Damage(u8),
    /// It finds files of this checkpoint damaged when it is to publish it.
    FindDamaged(u8),
    /// It reads on to this cut and writes the files of the next checkpoint.
    Stage(u8, Cut),
    /// It creates the manifest.
    Create(u8),
    /// It can't: there is one.
    FindNameTaken(u8),
    /// It looks and sees no newer manifest: the checkpoint is made.
    FindNewest,
    /// It looks and sees a newer one: the name was free because it had been collected.
    FindNewer(u8),
    /// It makes a producer and fences all before.
    InitTransactions,
    /// It reads the marker.
    ReadMarker(u8),
    /// It reads a marker that only a successor can have written.
    FindMarkerAhead(u8),
    /// It produces rows and marker of the next outbox and sends the commit.
    Publish(u8),
    /// It learns that it is fenced, and looks: nobody has gone on without it.
    FindFenced,
    /// It learns that it is fenced, and looks: this newer manifest is there.
    FindTakenOver(u8),
    /// The broker commits.
    TakeEffect(u8),
    /// The reply comes.
    Reply(u8),
    /// Mutant only: the marker is written after the rows.
    WriteMarker(u8),
    /// It stops waiting for the reply: lost, late, or there was nothing to reply to.
    TimeOut,
    /// It deletes a manifest.
    Collect(u8),
    /// It deletes files that no manifest names.
    CollectFiles(u8),
    /// It is killed, here as everywhere.
    Die,
    /// It finds damage and refuses to go on.
    Halt,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incarnation {
            0 if matches!(self.action, Action::Damage(_)) => write!(f, "disk: ")?,
            0 => write!(f, "broker: ")?,
            i => write!(f, "{i}: ")?,
        }
        match self.action {
            Action::Start(0) => write!(f, "start from nothing"),
            Action::Start(name) => write!(f, "start from {name}"),
            Action::Load => write!(f, "load"),
            Action::FindFilesGone => write!(f, "files are collected, exit"),
            Action::Repeat(0) => write!(f, "repeat from the beginning"),
            Action::Repeat(name) => write!(f, "repeat from {name}"),
            Action::Damage(name) => write!(f, "damage files of {name}"),
            Action::FindDamaged(name) => write!(f, "files of {name} are damaged, exit"),
            Action::Stage(name, c) => {
                write!(f, "stage {name} (rows {}, epochs {}, decision {})", c.rows, c.epochs, c.decision)
            }
            Action::Create(name) => write!(f, "create manifest {name}"),
            Action::FindNameTaken(name) => write!(f, "manifest {name} exists, exit"),
            Action::FindNewest => write!(f, "it is the newest"),
            Action::FindNewer(name) => write!(f, "{name} is newer, exit"),
            Action::InitTransactions => write!(f, "init transactions"),
            Action::ReadMarker(name) => write!(f, "read marker {name}"),
            Action::FindMarkerAhead(name) => write!(f, "marker {name} is ahead, exit"),
            Action::Publish(name) => write!(f, "publish {name}"),
            Action::FindFenced => write!(f, "fenced"),
            Action::FindTakenOver(name) => write!(f, "fenced, and {name} is newer, exit"),
            Action::TakeEffect(name) => write!(f, "commit {name}"),
            Action::Reply(name) => write!(f, "hear that {name} is committed"),
            Action::WriteMarker(name) => write!(f, "write marker {name}"),
            Action::TimeOut => write!(f, "time out"),
            Action::Collect(name) => write!(f, "collect manifest {name}"),
            Action::CollectFiles(name) => write!(f, "collect files of {name}"),
            Action::Die => write!(f, "die"),
            Action::Halt => write!(f, "halt"),
        }
    }
}

/// The steps that one incarnation can take from one state.
pub struct Turn<'a> {
    pub protocol: &'a Protocol,
    pub state: &'a State,
    pub instance: Instance,
    slot: usize,
    out: &'a mut Vec<(Step, State)>,
}

impl Turn<'_> {
    /// Adds a step after which the instance is `next` (or gone) and returns the state that it leads to, to change more.
    pub fn go(&mut self, action: Action, next: impl Into<Option<Instance>>) -> &mut State {
        let mut state = *self.state;
        state.instances[self.slot] = next.into();
        self.out.push((Step { incarnation: self.instance.incarnation, action }, state));
        &mut self.out.last_mut().expect("just pushed").1
    }

    /// Whether this rule is the broken one.
    pub fn is(&self, mutant: Mutant) -> bool {
        self.protocol.mutant == Some(mutant)
    }

    /// The place of the other instance.
    pub fn other(&self) -> usize {
        1 - self.slot
    }
}

impl Protocol {
    /// Puts all states that can follow `state` into `out`.
    pub fn successors(&self, state: &State, out: &mut Vec<(Step, State)>) {
        out.clear();
        for slot in 0..state.instances.len() {
            if let Some(instance) = state.instances[slot] {
                let mut turn = Turn { protocol: self, state, instance, slot, out: &mut *out };
                turn.go(Action::Die, None);
                turn.work();
                turn.publish();
                turn.collect();
            }
        }
        if state.starts < self.starts_max
            && let Some(free) = state.instances.iter().position(Option::is_none)
        {
            out.push(start(state, free));
        }
        out.extend(self.take_effect(state));
        out.extend(self.damage(state));
        out.iter_mut().for_each(|(_, next)| forget_orphans(next));
    }

    /// Files of a retained checkpoint become damaged.
    fn damage<'s>(&self, state: &'s State) -> impl Iterator<Item = (Step, State)> + use<'s> {
        let names = state.retained().map(|m| m.digest.name).filter(move |n| state.damaged & (1 << n) == 0);
        let damage = move |name: u8| {
            let next = State { damaged: state.damaged | 1 << name, damages: state.damages + 1, ..*state };
            (Step { incarnation: 0, action: Action::Damage(name) }, next)
        };
        let may = state.damages < self.damages_max;
        names.filter(move |_| may).map(damage)
    }

    /// The commit that is on its way arrives. Rows and marker become visible together.
    fn take_effect(&self, state: &State) -> Option<(Step, State)> {
        let open = state.open?;
        let mut next = State { open: None, ..*state };
        next.visible[state.seen().len()] = open;
        if self.mutant != Some(Mutant::MarkerNotAtomic) {
            next.marker = open.name;
        }
        Some((Step { incarnation: 0, action: Action::TakeEffect(open.name) }, next))
    }
}

/// A new incarnation chooses the newest manifest.
fn start(state: &State, slot: usize) -> (Step, State) {
    let mut next = State { starts: state.starts + 1, ..*state };
    let base = state.newest();
    next.instances[slot] = Some(Instance {
        incarnation: next.starts,
        base,
        work: Work::Restoring,
        publisher: Publisher::Down,
        producer: Producer::None,
        remade: 0,
    });
    (Step { incarnation: next.starts, action: Action::Start(base.digest.name) }, next)
}

/// Drops files that no manifest and no staged checkpoint of a living incarnation names: nobody can ever read them.
fn forget_orphans(state: &mut State) {
    let mut named = [0; super::state::NAMES as usize];
    let mut name = |m: &Manifest| {
        let Digest { name, incarnation } = m.digest;
        named[usize::from(name) - 1] |= 1 << incarnation;
    };
    state.store.iter().filter(|m| m.exists()).for_each(&mut name);
    for instance in state.alive() {
        if let Work::Staged(m) = &instance.work {
            name(m);
        }
    }
    state.files.iter_mut().zip(named).for_each(|(files, named)| *files &= named);
}
