//! What a job keeps and how far back it looks.

use crate::StateBound;
use crate::intervals::show_ms;
use highwater_engine::expr::Expr;
use highwater_engine::graph::{Aggregate, Emission, Node, OverSpec, Step, TopNSpec, WindowKind, WindowSpec};

/// The bound of every stateful step.
pub(crate) fn state(nodes: &[Node]) -> Vec<StateBound> {
    let bound = |(i, n): (usize, &Node)| {
        let text = match &n.step {
            Step::Window(w) => window(n, w),
            Step::Over(o) => over(nodes, n, o),
            Step::TopN(t) => top_n(nodes, n, t),
            _ => return None,
        };
        Some(StateBound { node: i, name: n.name.clone(), text })
    };
    nodes.iter().enumerate().filter_map(bound).collect()
}

fn window(n: &Node, w: &WindowSpec) -> String {
    let keys: Vec<&str> = n.schema.fields()[..w.keys.len()].iter().map(|f| f.name().as_str()).collect();
    let size_ms = w.window.size_ms();
    let open = match &w.window {
        WindowKind::Calendar(c) => c.size.ms_max() / c.step.ms_max(),
        WindowKind::Tumble { .. } | WindowKind::Session { .. } => 1,
        WindowKind::Hop { slide_ms: step_ms, .. } | WindowKind::Cumulate { step_ms, .. } => {
            (size_ms + step_ms - 1) / step_ms
        }
    };
    let size = match &w.window {
        WindowKind::Calendar(c) => c.size.to_string(),
        _ => show_ms(size_ms),
    };
    let distinct = w.aggregates.iter().any(|a| a.distinct);
    let values = if distinct { " and its distinct values" } else { "" };
    let per = if keys.is_empty() { String::new() } else { format!(" per {} in it", keys.join(", ")) };
    let windows = if open == 1 { "per open window".to_string() } else { format!("per open window ({open} overlap)") };
    if let WindowKind::Session { gap_ms } = w.window {
        return format!("per open session (gap {}): one row{per}{values}", show_ms(gap_ms));
    }
    format!("{windows} of {size}: one row{per}{values}")
}

fn top_n(nodes: &[Node], n: &Node, t: &TopNSpec) -> String {
    let input = &nodes[n.inputs[0]].schema;
    let keys: Vec<&str> = t.keys.iter().map(|k| input.field(*k).name().as_str()).collect();
    format!("per {} of an open window: at most {} rows", keys.join(", "), t.limit)
}

fn over(nodes: &[Node], n: &Node, o: &OverSpec) -> String {
    let input = &nodes[n.inputs[0]].schema;
    let keys: Vec<&str> = o.keys.iter().map(|k| input.field(*k).name().as_str()).collect();
    let longest = o.frames.iter().map(|f| f.start_ms).max().unwrap_or(0);
    let per = if keys.is_empty() { "in all".to_string() } else { format!("per {}", keys.join(", ")) };
    match o.emission {
        Emission::Final => format!("{per}: rows of the last {}, and rows ahead of the watermark", show_ms(longest)),
        Emission::Arrival { late_horizon_ms } => {
            let horizon = show_ms(late_horizon_ms);
            format!("{per}: rows of the last {} and of the late horizon ({horizon})", show_ms(longest))
        }
    }
}

/// What the values of a step's output look back at, in ms: one entry per column, and one for which rows there are.
struct Reach {
    columns: Vec<i64>,
    rows: i64,
}

/// The largest reach of a sink.
pub(crate) fn reach_ms(nodes: &[Node]) -> i64 {
    let mut all: Vec<Reach> = Vec::new();
    for n in nodes {
        let reach = of_node(n, &all);
        all.push(reach);
    }
    all.iter().map(|r| r.columns.iter().copied().fold(r.rows, i64::max)).max().unwrap_or(0)
}

fn of_node(n: &Node, all: &[Reach]) -> Reach {
    let width = n.schema.fields().len();
    let Some(&first) = n.inputs.first() else { return Reach { columns: vec![0; width], rows: 0 } };
    let input = &all[first];
    let of = |e: &Expr| {
        let mut max = 0;
        e.visit(&mut |e| {
            if let Expr::Column(i) = e {
                max = max.max(input.columns[*i]);
            }
        });
        max
    };
    let reads = |a: &Aggregate| a.columns().map(|c| input.columns[c]).max().unwrap_or(0);
    let keys = |k: &[usize]| k.iter().map(|c| input.columns[*c]).max().unwrap_or(0).max(input.rows);
    match &n.step {
        Step::Map(m) => {
            Reach { columns: m.columns.iter().map(of).collect(), rows: m.filter.as_ref().map_or(0, of).max(input.rows) }
        }
        Step::Over(o) => {
            let base = keys(&o.keys);
            let call = |c: &highwater_engine::graph::OverCall| {
                o.frames[c.frame].start_ms.saturating_add(base.max(reads(&c.aggregate)))
            };
            let mut columns = input.columns.clone();
            columns.extend(o.calls.iter().map(call));
            columns.resize(width, input.rows);
            Reach { columns, rows: input.rows }
        }
        Step::TopN(t) => {
            let order = t.order.iter().map(|o| input.columns[o.column]).max().unwrap_or(0);
            let rows = keys(&t.keys).max(order);
            let columns = input.columns.iter().map(|c| rows.max(*c)).chain([rows]).collect();
            Reach { columns, rows }
        }
        Step::Window(w) => {
            let reads = w.aggregates.iter().map(reads).max().unwrap_or(0);
            let rows = w.window.size_ms().saturating_add(keys(&w.keys).max(reads));
            Reach { columns: vec![rows; width], rows }
        }
        Step::Union | Step::Sink(_) => {
            let inputs = || n.inputs.iter().map(|i| &all[*i]);
            let column = |c: usize| inputs().map(|r| r.columns[c]).max().unwrap_or(0);
            Reach { columns: (0..width).map(column).collect(), rows: inputs().map(|r| r.rows).max().unwrap_or(0) }
        }
        _ => {
            let mut columns = input.columns.clone();
            columns.resize(width, input.rows);
            Reach { columns, rows: input.rows }
        }
    }
}
