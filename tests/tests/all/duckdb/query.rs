//! Random queries of one to three steps: our text beside DuckDB's.
//!
//! A step is a relation with a name; DuckDB's has the columns `ts` (epoch ms), `part`, `off` if rows have an order, `w` if they
//! may be late.

use super::calls::{Call, Column, Kind, Over, aggregate, column, condition, pick, scalar};
use super::random::Random;
use super::steps;

/// A query in both engines.
#[derive(Clone, Debug)]
pub struct Query {
    /// Types of its columns.
    pub kinds: Vec<Kind>,
    pub ours: String,
    pub theirs: String,
}

/// What a step reads.
#[derive(Clone, Debug)]
pub struct Relation {
    pub name: String,
    pub columns: Vec<Column>,
    /// Rows have places: a part and an offset in it.
    pub ordered: bool,
    /// Rows may be late: `w`.
    pub late: bool,
    /// Steps before it, by name, ours and theirs.
    before: Vec<[String; 3]>,
}

impl Relation {
    fn source() -> Self {
        let columns = [
            ("id", Kind::Whole),
            ("card", Kind::Text),
            ("shop", Kind::Whole),
            ("n", Kind::Whole),
            ("amount", Kind::Money),
            ("flag", Kind::Flag),
            ("ts", Kind::Time),
        ];
        let columns = columns.map(|(name, kind)| column(name, kind)).to_vec();
        Self { name: "p".into(), columns, ordered: true, late: true, before: Vec::new() }
    }

    /// DuckDB's columns that no query names.
    pub fn hidden(&self) -> String {
        let all = [(self.ordered, ", part, off"), (self.late, ", w")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, text)| text).collect()
    }

    /// Columns to partition or group by: none to two.
    pub fn keys(&self, r: &mut Random) -> Vec<String> {
        let fit: Vec<&Column> =
            self.columns.iter().filter(|c| matches!(c.kind, Kind::Whole | Kind::Text | Kind::Flag)).collect();
        let n = if fit.is_empty() { 0 } else { r.of(&[0, 1, 1, 1, 2]) };
        let mut keys: Vec<String> = (0..n).map(|_| r.of(&fit).name.clone()).collect();
        keys.sort();
        keys.dedup();
        // few values: rows meet
        keys.retain(|k| k != "id");
        keys
    }

    /// The relation behind a step.
    fn then(self, step: Step) -> Self {
        let name = format!("s{}", self.before.len());
        let mut before = self.before;
        before.push([name.clone(), step.ours, step.theirs]);
        Self { name, columns: step.columns, ordered: step.ordered, late: step.late, before }
    }
}

/// A step: a SELECT that gives `ts` and the columns.
pub struct Step {
    pub ours: String,
    pub theirs: String,
    pub columns: Vec<Column>,
    pub ordered: bool,
    pub late: bool,
}

/// A query with up to `steps` steps that keep state.
pub fn random(r: &mut Random) -> Query {
    let mut relation = Relation::source();
    if r.chance(20) {
        let step = filtered(r, &relation);
        relation = relation.then(step);
    }
    for _ in 0..r.of(&[1, 1, 1, 2, 2, 3]) {
        let step = match r.below(10) {
            0..4 => steps::window(r, &relation),
            4..6 => steps::session(r, &relation),
            6..9 => steps::frames(r, &relation),
            _ if relation.ordered => steps::top(r, &relation),
            _ => steps::window(r, &relation),
        };
        relation = relation.then(step);
    }
    select(r, &relation)
}

/// Rows that meet a condition; or the union of those of two, no row twice: which of two equal places comes first is open.
fn filtered(r: &mut Random, from: &Relation) -> Step {
    let names: Vec<&str> = from.columns.iter().map(|c| c.name.as_str()).collect();
    let names = names.join(", ");
    let first = condition(r, &from.columns);
    let mut conditions = vec![first.clone()];
    if r.chance(40) {
        conditions.push(format!("({first}) IS NOT TRUE AND {}", condition(r, &from.columns)));
    }
    let select = |hidden: &str| {
        let one = |c: &String| format!("SELECT {names}{hidden} FROM {} WHERE {c}", from.name);
        conditions.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")
    };
    Step {
        ours: select(""),
        theirs: select(&from.hidden()),
        columns: from.columns.clone(),
        ordered: from.ordered,
        late: from.late,
    }
}

/// What is shown of the last step.
fn select(r: &mut Random, from: &Relation) -> Query {
    let items: Vec<Call> = from.columns.iter().map(|c| scalar(r, c)).collect();
    let filter = r.chance(15).then(|| condition(r, &from.columns)).map(|c| format!(" WHERE {c}")).unwrap_or_default();
    let list = |text: fn(&Call) -> &String| items.iter().map(|c| text(c).clone()).collect::<Vec<_>>().join(", ");
    let steps = |which: usize| {
        let all = from.before.iter().map(|s| format!("{} AS (\n  {})", s[0], s[which]));
        all.collect::<Vec<_>>().join(",\n")
    };
    let of = |which: usize, list: String| format!("WITH {}\nSELECT {list} FROM {}{filter}", steps(which), from.name);
    Query {
        kinds: items.iter().map(|c| c.kind).collect(),
        ours: of(1, list(|c| &c.ours)),
        theirs: of(2, list(|c| &c.theirs)),
    }
}

/// One to four aggregates, named `a`, `b` and so on behind a prefix.
pub fn aggregates(r: &mut Random, from: &Relation, over: Over) -> Vec<(String, Call)> {
    let prefix = format!("{}_", char::from(b'a' + from.before.len() as u8));
    let n = r.between(1, 4) as usize;
    (0..n).map(|i| (format!("{prefix}{i}"), aggregate(r, &from.columns, over))).collect()
}

/// An order for the first rows of windows: ours and theirs, which say where NULL goes.
pub fn order(r: &mut Random, from: &Relation) -> [String; 2] {
    let kinds = [Kind::Whole, Kind::Money, Kind::Text, Kind::Time, Kind::Flag];
    let columns: Vec<Column> = (0..r.between(1, 2)).filter_map(|_| pick(r, &from.columns, &kinds)).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for c in columns {
        let (desc, nulls) = r.of(&[("", " NULLS FIRST"), (" DESC", " NULLS LAST")]);
        ours.push(format!("{}{desc}", c.name));
        theirs.push(format!("{}{desc}{nulls}", c.name));
    }
    [ours.join(", "), theirs.join(", ")]
}
