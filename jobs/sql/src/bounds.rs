//! What a job keeps.

use crate::StateBound;
use crate::intervals::show_ms;
use highwater_engine::graph::{Emission, Node, OverSpec, Step, TopNSpec, WindowKind, WindowSpec};

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
