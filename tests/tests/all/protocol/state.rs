//! The world between two steps: the checkpoint store, the broker, and the incarnations that live.
//!
//! Plain small values: a state is copied at every transition. Numbers and names count from 1; 0 is "none".

/// Rows of the input, one partition.
pub const ROWS: u8 = 3;
/// All of them, as a set: bit r is row r.
pub const ALL_ROWS: u8 = (1 << ROWS) - 1;
/// Names a manifest can have: checkpoint numbers, one per row at most; in one mutant epochs, which run ahead of them.
pub const NAMES: u8 = ROWS + 1;

/// Where an incarnation ends a checkpoint, and what it decided until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Rows that the checkpoint covers.
    pub rows: u8,
    /// Epochs into which they were cut.
    pub epochs: u8,
    /// All that two incarnations could decide differently over the same rows: processing time, idle floors.
    pub decision: u8,
}

/// What a checkpoint hands to the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Outbox {
    /// The input rows whose results it holds, as a set: bit r is row r.
    pub rows: u8,
    /// How the rows were tagged: a function of them and of the decision.
    pub tag: u8,
}

/// The identity of a manifest, in place of its sha256: nobody writes two of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Digest {
    /// The name it is stored under: the checkpoint number, unless a mutant says otherwise.
    pub name: u8,
    /// Who wrote it.
    pub incarnation: u8,
}

/// A manifest. The default is "none": what a job stands on that never made a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Manifest {
    /// Its identity.
    pub digest: Digest,
    /// The checkpoint: previous + 1.
    pub number: u8,
    /// The epoch that it ended.
    pub epoch: u8,
    /// The manifest before it.
    pub previous: Digest,
    /// Source position: the next row to read.
    pub position: u8,
    /// Content of the state parts: the rows folded into them, as a set.
    pub state: u8,
    /// The recorded decision.
    pub decision: u8,
    /// Content of the outbox files.
    pub outbox: Outbox,
}

impl Manifest {
    /// Whether this is a manifest at all.
    pub fn exists(&self) -> bool {
        self.number > 0
    }
}

/// How far an incarnation is with restoring, or with its next checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It chose the newest manifest and has yet to load the files.
    Restoring,
    /// It reads rows.
    Running,
    /// The files of this checkpoint are written, the manifest is not.
    Staged(Manifest),
    /// The manifest is created; whether it is the newest is not known yet.
    Created(Manifest),
    /// Something is damaged and it refuses to go on. No step of an intact protocol leads here.
    Halted,
}

/// How far an incarnation is with publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// No producer.
    Down,
    /// A mutant only: it read this marker before it fenced.
    Marked(u8),
    /// `init_transactions` is done: whoever was before is fenced.
    Initialized,
    /// Everything up to this name is published.
    Ready(u8),
    /// Rows and marker of this name are produced and the commit is on its way; no reply yet.
    Sent(u8),
}

/// What the broker thinks of an incarnation's producer.
///
/// A producer epoch is only ever compared with the newest one, so the model keeps the answer and not the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producer {
    /// There is none.
    None,
    /// Its epoch is the newest: it can commit.
    Current,
    /// A later `init_transactions` fenced it.
    Fenced,
}

/// An incarnation that lives, maybe without knowing that it has a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Which start of the job this is.
    pub incarnation: u8,
    /// The manifest it stands on: restored or made by itself.
    pub base: Manifest,
    /// Checkpointing.
    pub work: Work,
    /// Publishing, which goes on beside it.
    pub publisher: Publisher,
    /// Its handle at the broker.
    pub producer: Producer,
    /// Checkpoints, as a set of names, whose damaged files it has made again by repeating them.
    pub remade: u8,
}

/// A transaction of the one sink shard whose commit is on its way: it takes effect at any time later, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The marker in it.
    pub name: u8,
    /// The rows in it.
    pub outbox: Outbox,
}

/// The world between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Manifests by name − 1.
    pub store: [Manifest; NAMES as usize],
    /// Checkpoints up to this one were collected.
    pub collected: u8,
    /// Who made the collected ones, by number − 1. Only the checks look here.
    pub lineage: [u8; ROWS as usize],
    /// The files of a checkpoint by name − 1: the set of incarnations (bit i) whose files exist.
    pub files: [u8; NAMES as usize],
    /// The checkpoints, as a set of names, of which files are damaged that their manifest names.
    pub damaged: u8,
    /// How often that happened.
    pub damages: u8,
    /// What a reader of the sink sees: transactions in the order of their commits.
    pub visible: [Transaction; NAMES as usize],
    /// The marker that such a reader sees.
    pub marker: u8,
    /// The transaction that is open at the broker.
    pub open: Option<Transaction>,
    /// Starts so far.
    pub starts: u8,
    /// Who lives.
    pub instances: [Option<Instance>; 2],
}

impl State {
    /// Before the first start of a job.
    pub fn initial() -> Self {
        let nothing = Transaction { name: 0, outbox: Outbox::default() };
        Self {
            store: Default::default(),
            collected: 0,
            lineage: Default::default(),
            files: Default::default(),
            damaged: 0,
            damages: 0,
            visible: [nothing; NAMES as usize],
            marker: 0,
            open: None,
            starts: 0,
            instances: [None; 2],
        }
    }

    /// The manifest of this name.
    pub fn manifest(&self, name: u8) -> Manifest {
        self.store[usize::from(name) - 1]
    }

    /// The place of the manifest of this name.
    pub fn manifest_mut(&mut self, name: u8) -> &mut Manifest {
        &mut self.store[usize::from(name) - 1]
    }

    /// The manifest with the highest name: where a restore begins.
    pub fn newest(&self) -> Manifest {
        self.store.iter().rev().find(|m| m.exists()).copied().unwrap_or_default()
    }

    /// The manifests that were not collected, by name. One that appears under a collected name is a stray: no restore
    /// looks below the oldest retained one.
    pub fn retained(&self) -> impl Iterator<Item = &Manifest> {
        self.store.iter().filter(|m| m.exists() && m.digest.name > self.collected)
    }

    /// The writers of existing files under this name.
    pub fn files_mut(&mut self, name: u8) -> &mut u8 {
        &mut self.files[usize::from(name) - 1]
    }

    /// Whether the files that this manifest names exist.
    pub fn has_files_of(&self, manifest: &Manifest) -> bool {
        let Digest { name, incarnation } = manifest.digest;
        name == 0 || self.files[usize::from(name) - 1] & (1 << incarnation) != 0
    }

    /// The first checkpoint up to `name` of which files are damaged.
    pub fn first_damaged(&self, name: u8) -> Option<u8> {
        (1..=name).find(|n| self.damaged & (1 << n) != 0)
    }

    /// The checkpoints up to the one of `base` whose outboxes its lists name, as a set of names. A manifest lists itself and
    /// names the one before as its fold point (`folds`: whether it does, too, if it is one itself); what was published and
    /// collected need not be found.
    pub fn listed(&self, base: &Manifest, folds: impl Fn(&Manifest) -> bool) -> u8 {
        let (mut listed, mut at) = (0, *base);
        while at.exists() {
            listed |= 1 << at.digest.name;
            let before = at.previous.name;
            if before <= self.collected || !folds(&at) {
                break;
            }
            // Whether it is there or not.
            listed |= 1 << before;
            at = self.manifest(before);
        }
        listed
    }

    /// What a reader of the sink sees.
    pub fn seen(&self) -> &[Transaction] {
        let len = self.visible.iter().take_while(|t| t.name > 0).count();
        &self.visible[..len]
    }

    /// Those who live.
    pub fn alive(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().flatten()
    }
}
