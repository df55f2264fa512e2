//! A planned job as text.

use crate::PlannedJob;
use crate::intervals::show_ms;
use arrow_schema::Schema;
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::sql_type;
use highwater_engine::graph::{
    Emission, Frame, JobGraph, MapSpec, Node, NodeId, OverSpec, PseudoColumn, SourceSpec, Step, TopNSpec, WindowKind,
    WindowSpec,
};
use highwater_operators::expression::text::expression as text;
use serde::Serialize;
use std::fmt::Write;

/// The job as text: every step with its inputs, keys, exchange, `W_out` and state bound.
pub fn explain(job: &PlannedJob) -> String {
    let mut out = format!("job {}\n", job.graph.name);
    for (key, value) in job.settings.to_map().into_iter().filter(|(k, _)| k != "pipeline.name") {
        // writing to a String can't fail
        let _ = writeln!(out, "  {key} = {value}");
    }
    let _ = writeln!(out, "  reach = {}", show_ms(job.reach_ms));
    for (i, node) in job.graph.nodes.iter().enumerate() {
        let _ = writeln!(out, "\n{}", step(node, &job.graph.nodes));
        if let Some(bound) = job.state.iter().find(|b| b.node == i) {
            let _ = writeln!(out, "  state: {}", bound.text);
        }
    }
    out
}

/// Where the rows of a step go, and what it promises of its results: what the text says of them, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepFlow {
    /// The step.
    pub node: NodeId,
    /// The columns by whose hash its rows are exchanged between workers; empty: all rows go to one worker. `None`: rows stay
    /// where they are.
    pub exchange: Option<Vec<String>>,
    /// The watermark of its results, where W is that of its rows: of all its inputs the least.
    pub w_out: &'static str,
}

/// What each step does to rows and watermarks, in the order of the graph.
pub fn flows(graph: &JobGraph) -> Vec<StepFlow> {
    let names = |n: &Node, keys: &[usize]| {
        let input = &graph.nodes[n.inputs[0]].schema;
        Some(keys.iter().map(|k| input.field(*k).name().clone()).collect())
    };
    let flow = |(node, n): (usize, &Node)| StepFlow {
        node,
        exchange: match &n.step {
            Step::Window(w) => names(n, &w.keys),
            Step::Over(o) => names(n, &o.keys),
            Step::TopN(t) => names(n, &t.keys),
            _ => None,
        },
        w_out: w_out(&n.step),
    };
    graph.nodes.iter().enumerate().map(flow).collect()
}

fn w_out(step: &Step) -> &'static str {
    match step {
        Step::Window(WindowSpec { window: WindowKind::Session { .. }, .. }) => "W - 1 ms",
        _ => "W",
    }
}

/// The graph alone, compactly.
pub fn render(nodes: &[Node]) -> String {
    nodes.iter().map(|n| step(n, nodes) + "\n").collect()
}

fn step(n: &Node, nodes: &[Node]) -> String {
    let inputs: Vec<&str> = n.inputs.iter().map(|i| nodes[*i].name.as_str()).collect();
    let from = if inputs.is_empty() { String::new() } else { format!(" <- {}", inputs.join(", ")) };
    let (kind, lines) = described(n, nodes);
    let mut out = format!("{}: {kind}{from}", n.name);
    for line in lines {
        let _ = write!(out, "\n  {line}");
    }
    out
}

/// What kind of step it is, and what there is to say of it.
pub(crate) fn described(n: &Node, nodes: &[Node]) -> (String, Vec<String>) {
    let input = n.inputs.first().map(|i| nodes[*i].schema.as_ref());
    let empty = Schema::empty();
    let input = input.unwrap_or(&empty);
    let (kind, mut lines) = match &n.step {
        Step::Source(s) => (format!("source {}", s.connector), source(n, s)),
        Step::Late => ("late rows".into(), vec![]),
        Step::Errors => ("bad rows".into(), vec![]),
        Step::Map(m) => (if m.filter.is_some() { "filter" } else { "map" }.into(), map(n, m, input)),
        Step::TimeRange(r) => (format!("time range [{}, {})", r.from_ms, r.to_ms), vec![]),
        Step::AssignWindow(w) => (format!("windows {}", window_kind(w)), vec![]),
        Step::Window(w) => (window_kind(&w.window), window(w, input, w_out(&n.step))),
        Step::Over(o) => ("over".into(), over(o, input)),
        Step::TopN(t) => (format!("first {}", t.limit), top_n(t, input)),
        Step::Union => ("union".into(), vec![]),
        Step::Sink(s) => (format!("sink {}{}", s.connector, if s.arrival { " at arrival" } else { "" }), vec![]),
    };
    if matches!(n.step, Step::Sink(_)) {
        let columns: Vec<String> = n.schema.fields().iter().map(|f| typed(f)).collect();
        lines.push(columns.join(", "));
    }
    (kind, lines)
}

fn typed(f: &arrow_schema::Field) -> String {
    format!("{} {}", f.name(), sql_type(f.data_type()))
}

fn source(n: &Node, s: &SourceSpec) -> Vec<String> {
    let columns: Vec<String> = n.schema.fields().iter().map(|f| typed(f)).collect();
    let read: Vec<String> = s.read.iter().map(|i| s.physical.field(*i).clone()).map(|f| typed(&f)).collect();
    let decoded =
        std::sync::Arc::new(Schema::new(s.read.iter().map(|i| s.physical.field(*i).clone()).collect::<Vec<_>>()));
    let time = n.schema.field(s.time).name();
    let mut lines = vec![columns.join(", ")];
    if read != columns {
        lines.push(format!("decodes {}", read.join(", ")));
        for (f, e) in n.schema.fields().iter().zip(&s.map.columns) {
            if !matches!(e, Expr::Column(_)) {
                lines.push(format!("{} = {}", f.name(), text(e, &decoded)));
            }
        }
    }
    let delay = if s.watermark_delay_ms == 0 { String::new() } else { format!(" - {}", show_ms(s.watermark_delay_ms)) };
    lines.push(format!("event time {time}, watermark {time}{delay}; W_out = {}", w_out(&n.step)));
    if !s.not_null.is_empty() {
        let names: Vec<&str> = s.not_null.iter().map(|i| n.schema.field(*i).name().as_str()).collect();
        lines.push(format!("not null {}", names.join(", ")));
    }
    lines
}

fn map(n: &Node, m: &MapSpec, input: &Schema) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(f) = &m.filter {
        lines.push(format!("where {}", text(f, input)));
    }
    let column = |(f, e): (&std::sync::Arc<arrow_schema::Field>, &Expr)| {
        let e = text(e, input);
        if e == *f.name() { e } else { format!("{e} AS {}", f.name()) }
    };
    let columns: Vec<String> = n.schema.fields().iter().zip(&m.columns).map(column).collect();
    lines.push(columns.join(", "));
    lines
}

fn window_kind(w: &WindowKind) -> String {
    let shift = |ms: i64| if ms == 0 { String::new() } else { format!(" offset {}", show_ms(ms)) };
    match *w {
        WindowKind::Calendar(ref c) => {
            let (size, step, zone) = (c.size, c.step, &c.zone);
            let kind = match (c.growing, size == step) {
                (true, _) => format!("cumulate {size} by {step}"),
                (false, true) => format!("tumble {size}"),
                (false, false) => format!("hop {size} every {step}"),
            };
            format!("{kind}{} of the calendar in {zone}", shift(c.offset_ms))
        }
        WindowKind::Session { gap_ms } => format!("session gap {}", show_ms(gap_ms)),
        WindowKind::Tumble { size_ms, offset_ms } => format!("tumble {}{}", show_ms(size_ms), shift(offset_ms)),
        WindowKind::Hop { slide_ms, size_ms, offset_ms } => {
            format!("hop {} every {}{}", show_ms(size_ms), show_ms(slide_ms), shift(offset_ms))
        }
        WindowKind::Cumulate { step_ms, size_ms, offset_ms } => {
            format!("cumulate {} by {}{}", show_ms(size_ms), show_ms(step_ms), shift(offset_ms))
        }
    }
}

fn names(columns: &[usize], schema: &Schema) -> String {
    let names: Vec<&str> = columns.iter().map(|c| schema.field(*c).name().as_str()).collect();
    names.join(", ")
}

fn exchange(keys: &[usize], input: &Schema) -> String {
    match keys {
        [] => "keys none: all rows on one worker".into(),
        keys => format!("keys {}; exchange by their hash", names(keys, input)),
    }
}

fn call(a: &highwater_engine::graph::Aggregate) -> String {
    format!("{} {}", a.label, sql_type(&a.returns))
}

fn window(w: &WindowSpec, input: &Schema, w_out: &str) -> Vec<String> {
    let calls: Vec<String> = w.aggregates.iter().map(call).collect();
    let fires = match w.window {
        WindowKind::Session { .. } => "fires once, when W > last row + gap",
        _ => "fires once, when W >= window_end",
    };
    let lines = [exchange(&w.keys, input), calls.join(", "), format!("{fires}; W_out = {w_out}")];
    lines.into_iter().filter(|l| !l.is_empty()).collect()
}

fn top_n(t: &TopNSpec, input: &Schema) -> Vec<String> {
    let one = |o: &highwater_engine::graph::OrderBy| {
        let down = if o.descending { " DESC" } else { "" };
        // Flink's NULL is the least value
        let nulls = match (o.nulls_first, o.descending) {
            (true, true) => " NULLS FIRST",
            (false, false) => " NULLS LAST",
            _ => "",
        };
        format!("{}{down}{nulls}", input.field(o.column).name())
    };
    let order: Vec<String> = t.order.iter().map(one).collect();
    let fires = "fires once, when W >= window_end; W_out = W";
    vec![exchange(&t.keys, input), format!("order {}", order.join(", ")), fires.into()]
}

fn frame(f: &Frame) -> String {
    if let Some(r) = f.rows {
        let end = if r.last == 0 { "current row".into() } else { format!("{} rows preceding", r.last) };
        return format!("{} rows preceding to {end}, none older than {}", r.first, show_ms(f.start_ms));
    }
    let end = if f.end_ms == 0 { "current row".into() } else { format!("{} preceding", show_ms(f.end_ms)) };
    let start = match &f.since {
        Some(since) => since.to_string(),
        None if f.start_ms == 0 => "current row".into(),
        None => format!("{} preceding", show_ms(f.start_ms)),
    };
    let without = match f {
        Frame { without_current: true, .. } => ", without it",
        Frame { without_ties: true, .. } => ", and the row itself",
        _ => "",
    };
    format!("{start} to {end}{without}")
}

fn over(o: &OverSpec, input: &Schema) -> Vec<String> {
    let mut lines = vec![exchange(&o.keys, input)];
    for (i, f) in o.frames.iter().enumerate() {
        let calls: Vec<String> = o.calls.iter().filter(|c| c.frame == i).map(|c| call(&c.aggregate)).collect();
        lines.push(format!("{}: {}", frame(f), calls.join(", ")));
    }
    lines.push(match o.emission {
        Emission::Final => "final: at the watermark, in event-time order; W_out = W".into(),
        Emission::Arrival { late_horizon_ms } => {
            let marks: Vec<&str> =
                o.pseudo.iter().map(|p| if *p == PseudoColumn::IsLate { "is_late" } else { "is_incomplete" }).collect();
            let marks = if marks.is_empty() { String::new() } else { format!("; {}", marks.join(", ")) };
            format!("arrival: at once, late rows back to {}; W_out = W{marks}", show_ms(late_horizon_ms))
        }
    });
    lines
}
