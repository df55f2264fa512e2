//! Columns that no sink needs leave the graph: what sources decode, what steps carry and exchange.
//!
//! It runs on the graph of all queries, so that a shared step keeps the union of what its users need. In front of a
//! stateful step a projection drops the columns that only other users need: they are neither exchanged nor kept.

use crate::translate::schema_of;
use highwater_engine::expr::Expr;
use highwater_engine::graph::{
    Aggregate, MapSpec, Node, NodeId, OrderBy, OverSpec, SourceSpec, Step, TopNSpec, WindowSpec,
};
use std::collections::BTreeSet;

type Needed = BTreeSet<usize>;

/// The graph without columns that nobody needs.
pub(crate) fn prune(nodes: Vec<Node>) -> Vec<Node> {
    let mut needed: Vec<Needed> = vec![Needed::new(); nodes.len()];
    for i in (0..nodes.len()).rev() {
        let own = std::mem::take(&mut needed[i]);
        for &input in &nodes[i].inputs {
            needed[input].extend(of_input(&nodes, i, &own));
        }
        needed[i] = own;
    }
    let mut pruner = Pruner { old: &nodes, nodes: Vec::new(), kept: Vec::new() };
    for (i, own) in needed.iter().enumerate() {
        pruner.rebuild(i, own);
    }
    pruner.nodes
}

/// The columns that step `i` needs from its input for its output columns `own`.
fn of_input(nodes: &[Node], i: usize, own: &Needed) -> Needed {
    let node = &nodes[i];
    let width = |k: usize| nodes[node.inputs[k]].schema.fields().len();
    match &node.step {
        Step::Source(_) | Step::Errors => Needed::new(),
        Step::Sink(_) => (0..width(0)).collect(),
        Step::Late | Step::AssignWindow(_) => own.iter().copied().filter(|c| *c < width(0)).collect(),
        Step::Union | Step::TimeRange(_) => own.clone(),
        Step::Map(m) => {
            let mut found = Needed::new();
            kept_of(own).iter().for_each(|c| columns_of(&m.columns[*c], &mut found));
            m.filter.iter().for_each(|f| columns_of(f, &mut found));
            found
        }
        Step::Window(w) => {
            let mut found: Needed = w.keys.iter().copied().collect();
            let results = w.keys.len() + 3;
            for (k, a) in w.aggregates.iter().enumerate().filter(|(k, _)| own.contains(&(results + k))) {
                let _ = k;
                found.extend(a.columns());
            }
            found
        }
        Step::TopN(t) => {
            let mut found: Needed = own.iter().copied().filter(|c| *c < width(0)).collect();
            found.extend(t.keys.iter().copied().chain(t.order.iter().map(|o| o.column)));
            found
        }
        Step::Over(o) => {
            let mut found: Needed = own.iter().copied().filter(|c| *c < width(0)).collect();
            found.extend(&o.keys);
            for k in calls_kept(o, own, width(0)) {
                let a = &o.calls[k].aggregate;
                found.extend(a.columns());
            }
            found
        }
    }
}

/// A step emits one column at least: rows need one to be counted by.
fn kept_of(own: &Needed) -> Needed {
    if own.is_empty() { Needed::from([0]) } else { own.clone() }
}

fn calls_kept(o: &OverSpec, own: &Needed, width: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..o.calls.len()).filter(|k| own.contains(&(width + k))).collect();
    if kept.is_empty() && !o.calls.is_empty() {
        kept.push(0);
    }
    kept
}

fn columns_of(e: &Expr, into: &mut Needed) {
    e.visit(&mut |e| {
        if let Expr::Column(i) = e {
            into.insert(*i);
        }
    });
}

struct Pruner<'a> {
    old: &'a [Node],
    nodes: Vec<Node>,
    /// Per old node: its new position, and which of its columns are left.
    kept: Vec<(NodeId, Vec<usize>)>,
}

/// New positions of old columns.
struct Moved<'a>(&'a [usize]);

impl Moved<'_> {
    fn at(&self, old: usize) -> usize {
        self.0
            .iter()
            .position(|c| *c == old)
            .unwrap_or_else(|| panic!("column {old} is needed but was pruned: {:?}", self.0))
    }
    fn aggregate(&self, a: &Aggregate) -> Aggregate {
        let at = |c: Option<usize>| c.map(|c| self.at(c));
        Aggregate { argument: at(a.argument), by: at(a.by), filter: at(a.filter), ..a.clone() }
    }
}

impl Pruner<'_> {
    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn rebuild(&mut self, i: usize, own: &Needed) {
        let old = &self.old[i];
        let field = |c: &usize| old.schema.field(*c).clone();
        let (step, inputs, keep) = match &old.step {
            Step::Source(s) => {
                let mut keep = own.clone();
                keep.insert(s.time);
                let keep: Vec<usize> = keep.into_iter().collect();
                (Step::Source(source(s, &keep)), vec![], keep)
            }
            Step::Errors => (Step::Errors, vec![self.kept[old.inputs[0]].0], (0..old.schema.fields().len()).collect()),
            Step::Sink(_) | Step::Union => {
                let all = matches!(old.step, Step::Sink(_));
                let keep: Vec<usize> =
                    if all { (0..old.schema.fields().len()).collect() } else { kept_of(own).into_iter().collect() };
                let inputs = old.inputs.iter().map(|n| self.exactly(*n, &keep, &old.name)).collect();
                (old.step.clone(), inputs, keep)
            }
            Step::Map(m) => {
                let keep: Vec<usize> = kept_of(own).into_iter().collect();
                let (input, left) = &self.kept[old.inputs[0]];
                let to = Moved(left);
                let spec = MapSpec {
                    filter: m.filter.as_ref().map(|e| e.with_columns(&|c| to.at(c))),
                    columns: keep.iter().map(|c| m.columns[*c].with_columns(&|c| to.at(c))).collect(),
                    query: m.query.clone(),
                };
                (Step::Map(spec), vec![*input], keep)
            }
            Step::Late | Step::AssignWindow(_) | Step::TimeRange(_) => {
                let (input, left) = self.kept[old.inputs[0]].clone();
                let width = self.old[old.inputs[0]].schema.fields().len();
                let added = width..old.schema.fields().len();
                (old.step.clone(), vec![input], left.into_iter().chain(added).collect())
            }
            Step::Window(w) => self.window(i, w, own),
            Step::Over(o) => self.over(i, o, own),
            Step::TopN(t) => self.top_n(i, t, own),
        };
        let schema = schema_of(keep.iter().map(field));
        let node = self.push(Node { name: old.name.clone(), inputs, step, schema });
        self.kept.push((node, keep));
    }

    fn window(&mut self, i: usize, w: &WindowSpec, own: &Needed) -> (Step, Vec<NodeId>, Vec<usize>) {
        let old = &self.old[i];
        let wanted: Vec<usize> = of_input(self.old, i, own).into_iter().collect();
        let (input, left) = self.narrowed(old.inputs[0], &wanted, &old.name);
        let to = Moved(&left);
        let results = w.keys.len() + 3;
        let calls: Vec<usize> = (0..w.aggregates.len()).filter(|k| own.contains(&(results + k))).collect();
        let spec = WindowSpec {
            window: w.window.clone(),
            keys: w.keys.iter().map(|k| to.at(*k)).collect(),
            aggregates: calls.iter().map(|k| to.aggregate(&w.aggregates[*k])).collect(),
        };
        (Step::Window(spec), vec![input], (0..results).chain(calls.iter().map(|k| results + k)).collect())
    }

    fn top_n(&mut self, i: usize, t: &TopNSpec, own: &Needed) -> (Step, Vec<NodeId>, Vec<usize>) {
        let old = &self.old[i];
        let wanted: Vec<usize> = of_input(self.old, i, own).into_iter().collect();
        let (input, left) = self.narrowed(old.inputs[0], &wanted, &old.name);
        let to = Moved(&left);
        let spec = TopNSpec {
            keys: t.keys.iter().map(|k| to.at(*k)).collect(),
            order: t.order.iter().map(|o| OrderBy { column: to.at(o.column), ..*o }).collect(),
            limit: t.limit,
        };
        let rank = self.old[old.inputs[0]].schema.fields().len();
        (Step::TopN(spec), vec![input], left.into_iter().chain([rank]).collect())
    }

    fn over(&mut self, i: usize, o: &OverSpec, own: &Needed) -> (Step, Vec<NodeId>, Vec<usize>) {
        let old = &self.old[i];
        let width = self.old[old.inputs[0]].schema.fields().len();
        let wanted: Vec<usize> = of_input(self.old, i, own).into_iter().collect();
        let (input, left) = self.narrowed(old.inputs[0], &wanted, &old.name);
        let to = Moved(&left);
        let calls = calls_kept(o, own, width);
        let frames: Vec<usize> =
            (0..o.frames.len()).filter(|f| calls.iter().any(|k| o.calls[*k].frame == *f)).collect();
        let marks: Vec<usize> = (0..o.pseudo.len()).filter(|p| own.contains(&(width + o.calls.len() + p))).collect();
        let spec = OverSpec {
            keys: o.keys.iter().map(|k| to.at(*k)).collect(),
            frames: frames.iter().map(|f| o.frames[*f].clone()).collect(),
            calls: calls
                .iter()
                .map(|k| {
                    let mut call = o.calls[*k].clone();
                    call.frame = frames.iter().position(|f| *f == call.frame).unwrap_or_default();
                    call.aggregate = to.aggregate(&call.aggregate);
                    call
                })
                .collect(),
            emission: o.emission,
            pseudo: marks.iter().map(|p| o.pseudo[*p]).collect(),
        };
        let keep = left
            .iter()
            .copied()
            .chain(calls.iter().map(|k| width + k))
            .chain(marks.iter().map(|p| width + o.calls.len() + p))
            .collect();
        (Step::Over(spec), vec![input], keep)
    }

    /// The input of a stateful step, without columns that the step does not need.
    fn narrowed(&mut self, input: usize, wanted: &[usize], user: &str) -> (NodeId, Vec<usize>) {
        let wanted: Vec<usize> = if wanted.is_empty() { self.kept[input].1[..1].to_vec() } else { wanted.to_vec() };
        (self.exactly(input, &wanted, user), wanted)
    }

    /// The old node `input` with exactly these of its old columns, in this order.
    fn exactly(&mut self, input: usize, wanted: &[usize], user: &str) -> NodeId {
        let (node, left) = self.kept[input].clone();
        if left == wanted {
            return node;
        }
        let to = Moved(&left);
        let columns: Vec<Expr> = wanted.iter().map(|c| Expr::Column(to.at(*c))).collect();
        let schema = schema_of(wanted.iter().map(|c| self.old[input].schema.field(*c).clone()));
        let same = |n: &Node| {
            n.inputs == [node]
                && n.schema == schema
                && matches!(&n.step, Step::Map(m) if m.filter.is_none() && m.columns == columns)
        };
        if let Some(i) = self.nodes.iter().position(same) {
            return i;
        }
        let spec = MapSpec { filter: None, columns, query: user.to_string() };
        let name = crate::translate::unique(&format!("{user}.input"), &self.nodes);
        self.push(Node { name, inputs: vec![node], step: Step::Map(spec), schema })
    }
}

/// The source with these columns of its schema: it reads the stored columns that they need.
fn source(s: &SourceSpec, keep: &[usize]) -> SourceSpec {
    let mut read = Needed::new();
    keep.iter().for_each(|c| columns_of(&s.map.columns[*c], &mut read));
    let read: Vec<usize> = read.into_iter().collect();
    let at = |c: usize| read.iter().position(|r| *r == c).unwrap_or_default();
    let columns = keep.iter().map(|c| s.map.columns[*c].with_columns(&at)).collect();
    let position = |old: &usize| keep.iter().position(|k| k == old);
    SourceSpec {
        map: MapSpec { filter: None, columns, query: s.map.query.clone() },
        time: position(&s.time).unwrap_or_default(),
        not_null: s.not_null.iter().filter_map(position).collect(),
        read,
        ..s.clone()
    }
}
