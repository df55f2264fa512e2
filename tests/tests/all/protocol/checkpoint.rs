//! Steps of an incarnation at the checkpoint store: restore, stage, create the manifest, collect.

use super::mutants::Mutant;
use super::state::{ALL_ROWS, Cut, Digest, Instance, Manifest, NAMES, Outbox, Publisher, ROWS, Work};
use super::steps::{Action, Turn};

impl Turn<'_> {
    /// The next step of checkpointing.
    pub fn work(&mut self) {
        match self.instance.work {
            Work::Restoring => self.load(),
            Work::Running => self.protocol.cuts.iter().for_each(|&cut| self.stage(cut)),
            Work::Staged(manifest) => self.create(manifest),
            Work::Created(manifest) => self.look(manifest),
            Work::Halted => (),
        }
    }

    /// Loads what the chosen manifest names. Meanwhile others may have gone on and collected it.
    fn load(&mut self) {
        let base = self.instance.base;
        if let Some(damaged) = self.state.first_damaged(base.digest.name) {
            self.repeat(damaged);
        } else if self.state.has_files_of(&base) {
            self.go(Action::Load, Instance { work: Work::Running, ..self.instance });
        } else if self.state.newest().number > base.number {
            self.go(Action::FindFilesGone, None);
        } else {
            self.halt();
        }
    }

    /// Loads the newest checkpoint before the damaged one, or begins, and repeats those behind it by the cuts and decisions
    /// of their manifests. It stands on the manifest that it chose: nothing durable has changed.
    fn repeat(&mut self, damaged: u8) {
        let from = (1..damaged).rev().find(|n| self.state.manifest(*n).exists()).unwrap_or(0);
        let from = if from > self.state.collected { from } else { 0 };
        if self.is(Mutant::RewindsInsteadOfRepeating) {
            let base = if from > 0 { self.state.manifest(from) } else { Manifest::default() };
            let next = self.go(Action::Repeat(from), Instance { base, work: Work::Running, ..self.instance });
            (from.max(next.collected) + 1..=NAMES).for_each(|n| *next.manifest_mut(n) = Manifest::default());
            next.damaged = 0;
            return;
        }
        let remade = self.state.damaged;
        self.go(Action::Repeat(from), Instance { work: Work::Running, remade, ..self.instance });
    }

    /// Reads the rows of one more checkpoint and writes its files: state parts and outbox.
    fn stage(&mut self, cut: Cut) {
        let Instance { base, incarnation, .. } = self.instance;
        let (number, epoch, position) = (base.number + 1, base.epoch + cut.epochs, base.position + cut.rows);
        let name = if self.is(Mutant::NamedByEpoch) { epoch } else { number };
        if position > ROWS || name > NAMES {
            return;
        }
        let rows = ((1 << cut.rows) - 1) << base.position;
        let past = if self.is(Mutant::RowsPastTheCut) { (rows << 1) & ALL_ROWS } else { 0 };
        let manifest = Manifest {
            digest: Digest { name, incarnation },
            number,
            epoch,
            previous: base.digest,
            position,
            state: base.state | rows | past,
            decision: if self.is(Mutant::DecisionNotRecorded) { 0 } else { cut.decision },
            outbox: Outbox { rows, tag: cut.decision },
        };
        let overwrites = self.is(Mutant::FilesNamedByNumber);
        let next = self.go(Action::Stage(name, cut), Instance { work: Work::Staged(manifest), ..self.instance });
        let files = next.files_mut(name);
        if overwrites {
            *files = 0;
        }
        *files |= 1 << incarnation;
    }

    /// Creates the manifest if its name is free. If not, a successor was faster and this incarnation is a zombie.
    fn create(&mut self, manifest: Manifest) {
        let name = manifest.digest.name;
        if self.is(Mutant::PublishBeforeManifest)
            && !matches!(self.instance.publisher, Publisher::Ready(m) if m >= name)
        {
            return;
        }
        if self.state.manifest(name).exists() && !self.is(Mutant::OverwritableManifest) {
            self.go(Action::FindNameTaken(name), None);
            return;
        }
        let next = match self.is(Mutant::NoLookAfterCreate) {
            true => Instance { base: manifest, work: Work::Running, ..self.instance },
            false => Instance { work: Work::Created(manifest), ..self.instance },
        };
        *self.go(Action::Create(name), next).manifest_mut(name) = manifest;
    }

    /// Looks whether the new manifest is the newest. A name can be free because its manifest was collected.
    fn look(&mut self, manifest: Manifest) {
        let newest = self.state.newest().digest.name;
        if newest > manifest.digest.name {
            self.go(Action::FindNewer(newest), None);
        } else {
            self.go(Action::FindNewest, Instance { base: manifest, work: Work::Running, ..self.instance });
        }
    }

    /// Collects, one deletion a step: the oldest manifest if it is published and not the newest, then files nobody needs.
    pub fn collect(&mut self) {
        let Instance { base, work: Work::Running, publisher: Publisher::Ready(published), .. } = self.instance else {
            return;
        };
        if !self.protocol.collects {
            return;
        }
        let (state, oldest) = (self.state, self.state.collected + 1);
        if oldest < base.number && (oldest <= published || self.is(Mutant::CollectsUnpublished)) {
            let next = self.go(Action::Collect(oldest), self.instance);
            next.collected = oldest;
            next.lineage[usize::from(oldest) - 1] = state.manifest(oldest).digest.incarnation;
            *next.manifest_mut(oldest) = Manifest::default();
            next.damaged &= !(1 << oldest);
        }
        for name in 1..=NAMES {
            let manifest = state.manifest(name);
            let stray = manifest.exists() && name <= state.collected;
            if stray {
                *self.go(Action::Collect(name), self.instance).manifest_mut(name) = Manifest::default();
            }
            let needed = if manifest.exists() && !stray { 1 << manifest.digest.incarnation } else { 0 };
            let decided = manifest.exists() || name <= state.collected || self.is(Mutant::OrphansBeforeManifest);
            if decided && state.files[usize::from(name) - 1] & !needed != 0 {
                *self.go(Action::CollectFiles(name), self.instance).files_mut(name) &= needed;
            }
        }
    }

    /// Refuses to go on.
    pub fn halt(&mut self) {
        self.go(Action::Halt, Instance { work: Work::Halted, ..self.instance });
    }
}
