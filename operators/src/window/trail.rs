//! MIN and MAX per slot over the slices of a hopping window.
//!
//! Per slot a list of values by the instant they leave, each better than all that leave later: the first is the window's
//! extreme. A value that enters drops those it beats among the ones that leave no later than it, and is dropped itself
//! where a better one leaves no earlier. Each value enters and goes once, so the cost per slice and key is constant on
//! average, whatever the order of values. Slices may enter out of order (late rows).

use super::extremes::{Cells, Extremes, Text};

/// No node.
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Node<T> {
    last: i64,
    value: T,
    earlier: u32,
    later: u32,
}

/// The lists of all slots.
#[derive(Clone, Debug)]
struct Lists<T> {
    max: bool,
    nodes: Vec<Node<T>>,
    free: u32,
    free_count: usize,
    /// First and last node of each slot.
    ends: Vec<(u32, u32)>,
}

impl<T: Ord + Clone> Lists<T> {
    fn new(max: bool) -> Self {
        Self { max, nodes: vec![], free: NONE, free_count: 0, ends: vec![] }
    }

    /// Whether `a` makes `b` useless if it leaves no earlier.
    fn beats(&self, a: &T, b: &T) -> bool {
        if self.max { a >= b } else { a <= b }
    }

    /// Enters a value that leaves with window start `last`; returns the slot's new extreme.
    fn enter(&mut self, slot: usize, last: i64, value: T) -> &T {
        let (mut head, mut tail) = self.ends[slot];
        // the first node that leaves later than the new value
        let (mut before, mut after) = (tail, NONE);
        while before != NONE && self.nodes[before as usize].last > last {
            after = before;
            before = self.nodes[before as usize].earlier;
        }
        let useless = |at: u32| at != NONE && self.beats(&self.nodes[at as usize].value, &value);
        let same = before != NONE && self.nodes[before as usize].last == last;
        let dropped = useless(after) || (same && useless(before));
        if !dropped {
            while before != NONE && self.beats(&value, &self.nodes[before as usize].value) {
                let gone = before;
                before = self.nodes[gone as usize].earlier;
                self.release(gone);
            }
            let at = self.place(Node { last, value, earlier: before, later: after });
            match before {
                NONE => head = at,
                b => self.nodes[b as usize].later = at,
            }
            match after {
                NONE => tail = at,
                a => self.nodes[a as usize].earlier = at,
            }
            self.ends[slot] = (head, tail);
        }
        &self.nodes[head as usize].value
    }

    /// Drops what leaves with window start `last` or before; returns the slot's new extreme.
    fn leave(&mut self, slot: usize, last: i64) -> Option<&T> {
        let (mut head, mut tail) = self.ends[slot];
        while head != NONE && self.nodes[head as usize].last <= last {
            let gone = head;
            head = self.nodes[gone as usize].later;
            self.release(gone);
        }
        match head {
            NONE => tail = NONE,
            h => self.nodes[h as usize].earlier = NONE,
        }
        self.ends[slot] = (head, tail);
        (head != NONE).then(|| &self.nodes[head as usize].value)
    }

    fn place(&mut self, node: Node<T>) -> u32 {
        if self.free == NONE {
            self.nodes.push(node);
            return u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 values in one trail");
        }
        let at = self.free;
        self.free = std::mem::replace(&mut self.nodes[at as usize], node).later;
        self.free_count -= 1;
        at
    }

    fn release(&mut self, at: u32) {
        self.nodes[at as usize].later = self.free;
        self.free = at;
        self.free_count += 1;
    }

    /// Keeps these slots only, in this order; the other lists are empty.
    fn keep(&mut self, slots: &[u32]) {
        self.ends = slots.iter().map(|s| self.ends[*s as usize]).collect();
        let mut nodes = Vec::with_capacity(self.nodes.len() - self.free_count);
        for ends in &mut self.ends {
            let (mut at, mut earlier) = (ends.0, NONE);
            let first = nodes.len() as u32;
            while at != NONE {
                let n = &self.nodes[at as usize];
                let here = nodes.len() as u32;
                let later = if n.later == NONE { NONE } else { here + 1 };
                nodes.push(Node { last: n.last, value: n.value.clone(), earlier, later });
                (at, earlier) = (n.later, here);
            }
            *ends = if ends.0 == NONE { (NONE, NONE) } else { (first, earlier) };
        }
        (self.nodes, self.free, self.free_count) = (nodes, NONE, 0);
    }

    fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node<T>>() + self.ends.capacity() * 8
    }
}

#[derive(Clone, Debug)]
enum Shaped {
    Narrow(Lists<i64>),
    Wide(Lists<i128>),
    Text(Lists<Box<[u8]>>),
}

/// The extremes of each slot over the slices that entered and did not leave.
#[derive(Clone, Debug)]
pub struct Trail {
    lists: Shaped,
    /// The extreme of each slot; meaningful only where there is a value.
    current: Cells,
}

impl Trail {
    /// An empty one for extremes like these.
    pub fn new(like: &Extremes) -> Self {
        let max = like.max();
        let (lists, current) = match like.cells() {
            Cells::Narrow(_) => (Shaped::Narrow(Lists::new(max)), Cells::Narrow(vec![])),
            Cells::Wide(_) => (Shaped::Wide(Lists::new(max)), Cells::Wide(vec![])),
            Cells::Text(_) => (Shaped::Text(Lists::new(max)), Cells::Text(vec![])),
        };
        Self { lists, current }
    }

    /// The extremes.
    pub fn cells(&self) -> &Cells {
        &self.current
    }

    /// Makes room for `n` slots.
    pub fn grow(&mut self, n: usize) {
        let none = (NONE, NONE);
        match (&mut self.lists, &mut self.current) {
            (Shaped::Narrow(l), Cells::Narrow(c)) => (l.ends.resize(n, none), c.resize(n, 0)),
            (Shaped::Wide(l), Cells::Wide(c)) => (l.ends.resize(n, none), c.resize(n, 0)),
            (Shaped::Text(l), Cells::Text(c)) => (l.ends.resize(n, none), c.resize(n, None)),
            _ => unreachable!("lists and extremes are of one shape"),
        };
    }

    /// Enters a slice that leaves with window start `last`: its `i`-th value into slot `slots[i]`, if `valued(i)`.
    pub fn enter(&mut self, slots: &[u32], from: &Extremes, last: i64, valued: impl Fn(usize) -> bool) {
        let slots = slots.iter().enumerate().filter(|(i, _)| valued(*i)).map(|(i, s)| (i, *s as usize));
        match (&mut self.lists, &mut self.current, from.cells()) {
            (Shaped::Narrow(l), Cells::Narrow(c), Cells::Narrow(v)) => {
                slots.for_each(|(i, s)| c[s] = *l.enter(s, last, v[i]))
            }
            (Shaped::Wide(l), Cells::Wide(c), Cells::Wide(v)) => {
                slots.for_each(|(i, s)| c[s] = *l.enter(s, last, v[i]))
            }
            (Shaped::Text(l), Cells::Text(c), Cells::Text(v)) => {
                for (i, s) in slots {
                    if let Some(v) = &v[i] {
                        set_text(&mut c[s], Some(l.enter(s, last, v.clone())));
                    }
                }
            }
            _ => unreachable!("extremes of one plan are alike"),
        }
    }

    /// What left with window start `last` or before leaves these slots.
    pub fn leave(&mut self, slots: &[u32], last: i64) {
        let slots = slots.iter().map(|s| *s as usize);
        match (&mut self.lists, &mut self.current) {
            (Shaped::Narrow(l), Cells::Narrow(c)) => slots.for_each(|s| c[s] = l.leave(s, last).copied().unwrap_or(0)),
            (Shaped::Wide(l), Cells::Wide(c)) => slots.for_each(|s| c[s] = l.leave(s, last).copied().unwrap_or(0)),
            (Shaped::Text(l), Cells::Text(c)) => {
                slots.for_each(|s| set_text(&mut c[s], l.leave(s, last).map(|b| &**b)))
            }
            _ => unreachable!("lists and extremes are of one shape"),
        }
    }

    /// Keeps these slots only, in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        let list = super::groups::Slots::List(slots);
        match (&mut self.lists, &mut self.current) {
            (Shaped::Narrow(l), Cells::Narrow(c)) => (l.keep(slots), *c = list.of(c)),
            (Shaped::Wide(l), Cells::Wide(c)) => (l.keep(slots), *c = list.of(c)),
            (Shaped::Text(l), Cells::Text(c)) => {
                (l.keep(slots), *c = slots.iter().map(|s| c[*s as usize].take()).collect())
            }
            _ => unreachable!("lists and extremes are of one shape"),
        };
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let lists = match &self.lists {
            Shaped::Narrow(l) => l.bytes(),
            Shaped::Wide(l) => l.bytes(),
            Shaped::Text(l) => l.bytes() + l.nodes.iter().map(|n| n.value.len()).sum::<usize>(),
        };
        lists + self.current.bytes()
    }
}

fn set_text(cell: &mut Text, value: Option<&[u8]>) {
    if cell.as_deref() != value {
        *cell = value.map(Box::from);
    }
}
