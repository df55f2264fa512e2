//! A planned job as a picture, in the language of Graphviz.

use crate::PlannedJob;
use crate::explain::described;
use highwater_engine::graph::{Node, Step};
use std::fmt::Write;

/// Columns after which a line of a box goes on in the next one.
const LINE_CHARS: usize = 56;

/// The graph for `dot -Tsvg`: a box a step with what [`explain`](crate::explain) says of it, a bold edge where rows are
/// exchanged by key, sources and sinks apart by their shapes.
pub fn dot(job: &PlannedJob) -> String {
    let nodes = &job.graph.nodes;
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n", quoted(&job.graph.name));
    out += "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"monospace\", fontsize=10];\n";
    out += "  edge [fontname=\"monospace\", fontsize=10];\n";
    for (i, node) in nodes.iter().enumerate() {
        let (kind, mut lines) = described(node, nodes);
        lines.extend(job.state.iter().filter(|b| b.node == i).map(|b| format!("state: {}", b.text)));
        // writing to a String can't fail
        let _ = writeln!(out, "  n{i} [{}label={}];", look(&node.step), label(&node.name, &kind, &lines));
        for input in &node.inputs {
            let _ = writeln!(out, "  n{input} -> n{i}{};", exchange(node, &nodes[*input]));
        }
    }
    out + "}\n"
}

fn look(step: &Step) -> &'static str {
    match step {
        Step::Source(_) => "shape=cylinder, fillcolor=\"#e8f1fb\", ",
        Step::Sink(_) => "shape=cds, fillcolor=\"#e9f7ec\", ",
        Step::Window(_) | Step::Over(_) | Step::TopN(_) => "fillcolor=\"#fdf3e1\", ",
        Step::Late | Step::Errors => "fillcolor=\"#fbeaea\", ",
        Step::Map(_) | Step::TimeRange(_) | Step::AssignWindow(_) | Step::Union => "",
    }
}

/// Rows go to the owner of their key.
fn exchange(node: &Node, input: &Node) -> String {
    let keys = match &node.step {
        Step::Window(w) => &w.keys,
        Step::Over(o) => &o.keys,
        Step::TopN(t) => &t.keys,
        _ => return String::new(),
    };
    let names: Vec<&str> = keys.iter().map(|k| input.schema.field(*k).name().as_str()).collect();
    let by = if names.is_empty() { "to one worker".to_owned() } else { format!("by {}", names.join(", ")) };
    format!(" [style=bold, label={}]", quoted(&by))
}

/// The name in bold, the kind, then the lines, left-justified.
fn label(name: &str, kind: &str, lines: &[String]) -> String {
    let mut out = format!("<<b>{}</b><br align=\"left\"/>{}<br align=\"left\"/>", escaped(name), escaped(kind));
    for line in lines.iter().flat_map(|l| wrapped(l)) {
        let _ = write!(out, "{}<br align=\"left\"/>", escaped(&line));
    }
    out + ">"
}

/// A line broken at blanks where it is too long; a longer word stays whole.
fn wrapped(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    for word in line.split(' ') {
        let last = out.len() - 1;
        if !out[last].is_empty() && out[last].chars().count() + 1 + word.chars().count() > LINE_CHARS {
            out.push(format!("  {word}"));
            continue;
        }
        if !out[last].is_empty() {
            out[last].push(' ');
        }
        out[last].push_str(word);
    }
    out
}

/// Text within an HTML-like label.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A quoted identifier.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_job_cannot_end_a_label() {
        assert_eq!(escaped("a < b && c > \"d\""), "a &lt; b &amp;&amp; c &gt; &quot;d&quot;");
        assert_eq!(quoted("a\"b\\"), "\"a\\\"b\\\\\"");
    }

    #[test]
    fn long_lines_are_broken_at_blanks() {
        let line = "word ".repeat(30);
        let lines = wrapped(line.trim());
        assert!(lines.iter().all(|l| l.chars().count() <= LINE_CHARS + 2), "{lines:?}");
        assert_eq!(lines.iter().flat_map(|l| l.split_whitespace()).count(), 30);
        assert_eq!(wrapped(&"x".repeat(100)), ["x".repeat(100)]);
    }
}
