//! From the bytes of a message to where the values of its columns are.
//!
//! What a reader of protocol buffers must know of a message is planned once: for each message that holds columns its fields,
//! and what they do to the [`Slot`]s of a row. Then a message is walked once, from its first byte to its last, without an
//! allocation. The last value of a field counts, a message given in parts is merged, a field of a `oneof` takes the others
//! away, unknown fields and those that no column reads are passed over.

use super::descriptor::{Field, Kind, Presence};
use super::tree::{Leaf, Part, Shape, Tree};
use super::wire::{BYTES, Cursor, Damage, FIXED32, FIXED64, GROUP, GROUP_END, VARINT, What};

/// What a row has of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The bits of a number; where bytes begin; seconds.
    pub value: u64,
    /// How many bytes; nanoseconds, [`u32::MAX`] for a number that is none.
    pub more: u32,
    /// Whether it is there.
    pub state: State,
}

/// Whether a value is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not.
    Absent,
    /// It is not, and must be.
    Missing,
    /// It is.
    Set,
}

impl Slot {
    /// Nothing.
    pub const ABSENT: Self = Self { value: 0, more: 0, state: State::Absent };
    /// Nothing, where something is required.
    const MISSING: Self = Self { value: 0, more: 0, state: State::Missing };
    /// Zero, no bytes, 1970.
    pub const ZERO: Self = Self { value: 0, more: 0, state: State::Set };
}

/// How messages are walked.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The messages that hold columns; the first is the whole.
    nodes: Vec<Node>,
    /// The columns, in the order of the slots of a row.
    pub leaves: Vec<Leaf>,
}

/// A message.
#[derive(Clone, Debug, Default)]
struct Node {
    /// By number.
    fields: Vec<Step>,
    /// The slots of its columns, and what they hold if the message is there and empty.
    empty: Vec<(usize, Slot)>,
}

/// A field.
#[derive(Clone, Debug)]
struct Step {
    number: u32,
    wire: u8,
    action: Action,
    /// What other fields of the same `oneof` leave behind.
    others: Option<Box<Others>>,
}

#[derive(Clone, Debug, Default)]
struct Others {
    slots: Vec<usize>,
    nodes: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// The value of a slot.
    Take(usize),
    /// The nanoseconds of a slot.
    Nanos(usize),
    /// Fields of a message.
    Enter(usize),
    /// Nobody reads it.
    Skip,
}

/// What walking a message needs beside its bytes; its memory is used again.
#[derive(Debug, Default)]
pub struct Row {
    entered: Vec<bool>,
}

impl Walk {
    /// For these columns of a message.
    pub fn new(tree: &Tree) -> Self {
        let mut walk = Self { nodes: Vec::new(), leaves: Vec::new() };
        walk.add(tree);
        walk
    }

    /// Adds a message; returns its node.
    fn add(&mut self, tree: &Tree) -> usize {
        let node = self.nodes.len();
        self.nodes.push(Node::default());
        let (mut fields, mut empty) = (Vec::new(), Vec::new());
        // By field: the slots and nodes of it.
        let mut parts: Vec<(Option<u64>, Others)> = Vec::new();
        for twig in &tree.twigs {
            let before = (self.leaves.len(), self.nodes.len());
            let (field, wire) = (&twig.field, twig.field.kind.wire());
            let action = match &twig.part {
                Part::Tree(inner) => Action::Enter(self.add(inner)),
                Part::Leaf(leaf) => self.add_leaf(leaf),
            };
            let slots: Vec<usize> = (before.0..self.leaves.len()).collect();
            let absent = match (field.presence, action) {
                (Presence::Required, _) => Slot::MISSING,
                (Presence::Implicit, _) => Slot::ZERO,
                _ => Slot::ABSENT,
            };
            empty.extend(slots.iter().map(|slot| (*slot, absent)));
            fields.push(Step { number: field.number, wire, action, others: None });
            parts.push((field.oneof, Others { slots, nodes: (before.1..self.nodes.len()).collect() }));
        }
        let strangers = strangers(tree);
        fields.extend(strangers.iter().map(|field| Step {
            number: field.number,
            wire: field.kind.wire(),
            action: Action::Skip,
            others: None,
        }));
        parts.extend(strangers.iter().map(|field| (field.oneof, Others::default())));
        for (at, field) in fields.iter_mut().enumerate() {
            let Some(oneof) = parts[at].0 else { continue };
            let mut others = Others::default();
            for (_, part) in parts.iter().enumerate().filter(|(i, (o, _))| *i != at && *o == Some(oneof)).map(|p| p.1) {
                others.slots.extend(&part.slots);
                others.nodes.extend(&part.nodes);
            }
            field.others = (!others.slots.is_empty()).then(|| others.into());
        }
        fields.sort_by_key(|field| field.number);
        self.nodes[node] = Node { fields, empty };
        node
    }

    fn add_leaf(&mut self, leaf: &Leaf) -> Action {
        let slot = self.leaves.len();
        self.leaves.push(leaf.clone());
        let step = |number, kind: &Kind, action| Step { number, wire: kind.wire(), action, others: None };
        let fields = match leaf.shape {
            Shape::Plain => return Action::Take(slot),
            Shape::Wrapped => vec![step(1, &leaf.kind, Action::Take(slot))],
            Shape::Timestamp => {
                vec![step(1, &Kind::Int64, Action::Take(slot)), step(2, &Kind::Int32, Action::Nanos(slot))]
            }
        };
        self.nodes.push(Node { fields, empty: vec![(slot, Slot::ZERO)] });
        Action::Enter(self.nodes.len() - 1)
    }

    /// Appends the slots of the message that is `data[start..end]`.
    ///
    /// # Errors
    /// It is no message; what its slots hold then means nothing, but lies within `data`.
    pub fn message(
        &self,
        data: &[u8],
        (start, end): (usize, usize),
        row: &mut Row,
        slots: &mut Vec<Slot>,
    ) -> Result<(), Damage> {
        let first = slots.len();
        slots.resize(first + self.leaves.len(), Slot::ABSENT);
        let slots = &mut slots[first..];
        row.entered.clear();
        row.entered.resize(self.nodes.len(), false);
        let mut cursor = Cursor::new(data, start, end);
        self.enter(0, &mut cursor, None, row, slots)
    }

    fn enter(
        &self,
        node: usize,
        cursor: &mut Cursor,
        group: Option<u32>,
        row: &mut Row,
        slots: &mut [Slot],
    ) -> Result<(), Damage> {
        let Node { fields, empty } = &self.nodes[node];
        if !std::mem::replace(&mut row.entered[node], true) {
            empty.iter().for_each(|(slot, holds)| slots[*slot] = *holds);
        }
        // Fields mostly come in order.
        let mut next = 0;
        while let Some((number, wire)) = cursor.tag()? {
            if wire == GROUP_END && group == Some(number) {
                return Ok(());
            }
            if fields.get(next).is_none_or(|field| field.number != number) {
                next = fields.partition_point(|field| field.number < number);
            }
            match fields.get(next) {
                Some(field) if field.number == number => {
                    next += 1;
                    self.take(field, wire, cursor, row, slots)?;
                }
                _ => cursor.skip(number, wire)?,
            }
        }
        match group {
            Some(number) => Err(Damage { at: cursor.at, what: What::GroupOpen(number) }),
            None => Ok(()),
        }
    }

    #[inline]
    fn take(
        &self,
        field: &Step,
        wire: u8,
        cursor: &mut Cursor,
        row: &mut Row,
        slots: &mut [Slot],
    ) -> Result<(), Damage> {
        if wire != field.wire {
            // What is damaged at all is said first.
            let at = cursor.at;
            cursor.skip(field.number, wire)?;
            return Err(Damage { at, what: What::OtherType(field.number, wire, field.wire) });
        }
        if let Some(others) = &field.others {
            others.slots.iter().for_each(|slot| slots[*slot] = Slot::ABSENT);
            others.nodes.iter().for_each(|node| row.entered[*node] = false);
        }
        match field.action {
            Action::Take(slot) => slots[slot] = value(wire, cursor)?,
            Action::Nanos(slot) => slots[slot].more = u32::try_from(cursor.varint()?).unwrap_or(u32::MAX),
            Action::Enter(node) if wire == GROUP => self.enter(node, cursor, Some(field.number), row, slots)?,
            Action::Enter(node) => {
                let length = cursor.length()?;
                let end = cursor.enter(length);
                self.enter(node, cursor, None, row, slots)?;
                cursor.leave(end);
            }
            Action::Skip => cursor.skip(field.number, wire)?,
        }
        Ok(())
    }
}

#[inline(always)]
fn value(wire: u8, cursor: &mut Cursor) -> Result<Slot, Damage> {
    let (value, more) = match wire {
        VARINT => (cursor.varint()?, 0),
        FIXED64 => (cursor.fixed64()?, 0),
        FIXED32 => (cursor.fixed32()?, 0),
        _ => {
            debug_assert_eq!(wire, BYTES);
            let length = cursor.length()?;
            cursor.at += length;
            ((cursor.at - length) as u64, length as u32)
        }
    };
    Ok(Slot { value, more, state: State::Set })
}

/// Fields that no column reads, but that take away what columns read.
fn strangers(tree: &Tree) -> Vec<&Field> {
    let is_read = |field: &&Field| tree.twigs.iter().any(|twig| twig.field.number == field.number);
    let in_read_oneof = |field: &&Field| {
        let oneof = field.oneof;
        oneof.is_some() && tree.twigs.iter().any(|twig| twig.field.oneof == oneof)
    };
    tree.message.fields.iter().filter(|field| !is_read(field) && in_read_oneof(field)).collect()
}
