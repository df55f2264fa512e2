//! From a node of the graph to its [`Plan`].

use super::{
    Aggregate, AggregateFunction, Bit, Call, CallResult, DataType, Distinct, Extremum, FLAGS, Finish, Frame, FramePlan,
    Kind, LanePlan, Link, Measure, Node, OverSpec, Pick, Place, Plan, SchemaRef, Starts, Value,
};
use crate::over::refuse::refuse;
use highwater_engine::error::BuildError;

impl Plan {
    /// Compiles a node.
    pub fn new(node: &Node, spec: &OverSpec, input: &SchemaRef) -> Result<Self, BuildError> {
        refuse(node, spec, input)?;
        let (starts, frames) = Starts::new(spec)?;
        let mut plan = Plan {
            keys: spec.keys.clone(),
            lanes: Vec::new(),
            bits: Vec::new(),
            flag_words: 0,
            words: 0,
            distincts: Vec::new(),
            extrema: Vec::new(),
            frames: Vec::new(),
            row_frames: Vec::new(),
            picks: Vec::new(),
            by_place: spec.is_ordered() || spec.calls.iter().any(|c| Place::of(c.aggregate.function).is_some()),
            measures: 0,
            wides: 0,
            calls: Vec::new(),
            pseudo: spec.pseudo.clone(),
            input: input.clone(),
            output: node.schema.clone(),
            starts,
            reach_ms: spec.frames.iter().map(|f| f.start_ms).max().unwrap_or(0),
        };
        plan.lay_out(spec);
        let frame = |f: &Frame| FramePlan { frame: *f, measures: Vec::new(), first: 0 };
        plan.frames = frames.iter().filter(|f| f.rows.is_none()).map(frame).collect();
        plan.row_frames = frames.iter().filter(|f| f.rows.is_some()).map(frame).collect();
        let sources: Vec<Source> = spec.calls.iter().map(|c| plan.source(frames[c.frame], &c.aggregate)).collect();
        for f in plan.frames.iter_mut().chain(&mut plan.row_frames) {
            f.first = plan.measures;
            plan.measures += f.measures.len();
        }
        for (call, source) in spec.calls.iter().zip(sources) {
            let frame = frames[call.frame];
            let (measure, value) = match source {
                Source::Pick(i) => (plan.measures + i, plan.picks[i].value),
                Source::Measure(i) => {
                    let f = plan.frames.iter().chain(&plan.row_frames).find(|f| f.frame == frame).expect("it was made");
                    (f.first + i, f.measures[i].value)
                }
            };
            plan.calls.push(Call {
                measure,
                frame,
                result: result(&call.aggregate, input)?,
                returns: call.aggregate.returns.clone(),
                wide: matches!(value, Value::Wide(_)),
            });
        }
        Ok(plan)
    }

    /// What a call over `frame` reads.
    fn source(&mut self, frame: Frame, a: &Aggregate) -> Source {
        match Place::of(a.function) {
            Some(place) => Source::Pick(self.pick(frame, place, a)),
            None => Source::Measure(self.measure(frame, a)),
        }
    }

    /// Position of a new pick.
    fn pick(&mut self, frame: Frame, place: Place, a: &Aggregate) -> usize {
        let (value, bit) = (self.value(a), self.bit(a));
        let sought = bit.is_some() && !matches!(place, Place::Back(_) | Place::Share(_));
        let mut end = |max| self.extremum(Extremum { value: Value::Place, bit, max });
        let ends = sought.then(|| (end(false), end(true)));
        self.picks.push(Pick { frame, place, value, bit, ends });
        self.picks.len() - 1
    }

    /// Position of an extremum, which is made if there is none like it.
    fn extremum(&mut self, e: Extremum) -> usize {
        self.extrema.iter().position(|x| *x == e).unwrap_or_else(|| {
            self.extrema.push(e);
            self.extrema.len() - 1
        })
    }

    /// Decides which words an entry has.
    fn lay_out(&mut self, spec: &OverSpec) {
        let aggregates = || spec.calls.iter().map(|c| &c.aggregate);
        for a in aggregates() {
            let bit = self.conditions(a);
            if bit != (None, None) && !self.bits.contains(&bit) {
                self.bits.push(bit);
            }
        }
        self.flag_words = self.bits.len().div_ceil(64);
        let links = self.lay_out_links(aggregates().filter(|a| is_distinct(a)));
        for a in aggregates() {
            let Some(column) = a.argument else { continue };
            let kind = self.kind(column);
            if a.function != AggregateFunction::Count {
                self.lane(column, kind);
            }
            if a.distinct {
                // a value that is compared must be one word
                self.lane(column, if kind == Kind::Wide { Kind::Text } else { kind });
            }
        }
        for a in aggregates().filter(|a| is_distinct(a)) {
            let (lane, bit) = (self.compared(a), self.bit(a));
            let value = self.lanes[lane].word;
            if !self.distincts.iter().any(|d| (d.value, d.bit) == (value, bit)) {
                self.distincts.push(Distinct { value, lane, bit, link: links[self.distincts.len()] });
            }
        }
    }

    /// The links of different inputs, behind the flags; none stands in two words.
    fn lay_out_links<'a>(&mut self, aggregates: impl Iterator<Item = &'a Aggregate>) -> Vec<Link> {
        let (mut inputs, mut links, mut next) = (Vec::new(), Vec::new(), self.bits.len());
        for a in aggregates {
            let input = (a.argument, self.conditions(a));
            if inputs.contains(&input) {
                continue;
            }
            inputs.push(input);
            if next % 64 + Link::BITS > 64 {
                next = next.next_multiple_of(64);
            }
            links.push(Link { word: FLAGS + next / 64, shift: (next % 64) as u32 });
            next += Link::BITS;
        }
        self.words = FLAGS + next.div_ceil(64);
        links
    }

    fn kind(&self, column: usize) -> Kind {
        Kind::of(self.input.field(column).data_type()).expect("types were checked")
    }

    fn lane(&mut self, column: usize, kind: Kind) -> usize {
        if let Some(l) = self.lanes.iter().find(|l| l.column == column && l.kind == kind) {
            return l.word;
        }
        let word = self.words;
        self.words += kind.words();
        self.lanes.push(LanePlan { column, kind, word });
        word
    }

    /// What a row must satisfy to count for `a`: a valid argument, a true filter; each only where it can fail.
    fn conditions(&self, a: &Aggregate) -> (Option<usize>, Option<usize>) {
        (a.argument.filter(|c| self.input.field(*c).is_nullable()), a.filter)
    }

    fn bit(&self, a: &Aggregate) -> Option<Bit> {
        let conditions = self.conditions(a);
        let i = self.bits.iter().position(|b| *b == conditions)?;
        Some(Bit { word: FLAGS + i / 64, mask: 1 << (i % 64) })
    }

    /// The lane whose values are compared.
    fn compared(&self, a: &Aggregate) -> usize {
        let lane = self.lanes.iter().position(|l| Some(l.column) == a.argument && l.kind != Kind::Wide);
        lane.expect("the lane of a distinct argument exists")
    }

    fn value(&self, a: &Aggregate) -> Value {
        let Some(column) = a.argument.filter(|_| a.function != AggregateFunction::Count) else { return Value::None };
        let kind = self.kind(column);
        let word = self.lanes.iter().find(|l| (l.column, l.kind) == (column, kind)).expect("the lane exists").word;
        match kind {
            Kind::Fixed => Value::Fixed { word, narrow: is_narrow(self.input.field(column).data_type()) },
            Kind::Wide => Value::Wide(word),
            Kind::Text => Value::Text(word),
        }
    }

    /// Position in `frame` of the measure that `a` reads, made or widened as `a` needs.
    fn measure(&mut self, frame: Frame, a: &Aggregate) -> usize {
        use AggregateFunction::*;
        let extremum = match a.function {
            Min | BoolAnd => Some(false),
            Max | BoolOr => Some(true),
            _ => None,
        };
        let (value, bit) = (self.value(a), self.bit(a));
        let distinct = is_distinct(a).then(|| {
            let compared = self.compared(a);
            self.distincts.iter().position(|d| (d.lane, d.bit) == (compared, bit)).expect("laid out before")
        });
        let extremum = extremum.map(|max| (max, self.extremum(Extremum { value, bit, max })));
        let of_frame = self.frames.iter_mut().chain(&mut self.row_frames).find(|f| f.frame == frame);
        let measures = &mut of_frame.expect("every frame has a plan").measures;
        let same = |m: &Measure| {
            let values_agree = m.value == value || m.value == Value::None || value == Value::None;
            m.bit == bit && m.distinct == distinct && values_agree
        };
        let i = measures.iter().position(same).unwrap_or_else(|| {
            let (min, max) = (None, None);
            measures.push(Measure { value, bit, distinct, sum: false, squares: false, wide: None, min, max });
            measures.len() - 1
        });
        let m = &mut measures[i];
        if m.value == Value::None {
            m.value = value;
        }
        let adds = a.function.adds();
        let is_wide = matches!(value, Value::Wide(_));
        m.sum |= adds && !is_wide;
        m.squares |= a.function.is_dispersion();
        if (adds && is_wide) || m.squares {
            m.wide.get_or_insert_with(|| {
                self.wides += 1;
                self.wides - 1
            });
        }
        if let Some((max, e)) = extremum {
            *(if max { &mut m.max } else { &mut m.min }) = Some(e);
        }
        i
    }
}

/// What a call reads: positions in its frame's measures, and in [`Plan::picks`].
enum Source {
    Measure(usize),
    Pick(usize),
}

/// DISTINCT changes no extremum, and no value at a place.
fn is_distinct(a: &Aggregate) -> bool {
    a.distinct && a.argument.is_some() && (a.function.adds() || a.function == AggregateFunction::Count)
}

/// Whether 64 values of the type always add up within an `i64`.
fn is_narrow(t: &DataType) -> bool {
    match t {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => true,
        DataType::Decimal128(p, _) => *p <= 16,
        _ => false,
    }
}

fn result(a: &Aggregate, input: &SchemaRef) -> Result<CallResult, BuildError> {
    let finish = || {
        let argument = a.argument.ok_or_else(|| BuildError::new(format!("{} has no argument", a.label)))?;
        Finish::new(a, input.field(argument).data_type())
    };
    Ok(match a.function {
        AggregateFunction::Count => CallResult::Count,
        AggregateFunction::Sum => CallResult::Sum(finish()?),
        AggregateFunction::Avg => CallResult::Avg(finish()?),
        AggregateFunction::Max | AggregateFunction::BoolOr => CallResult::Max,
        f if f.is_dispersion() => CallResult::Dispersion(finish()?),
        AggregateFunction::PercentileCont { .. } => match a.returns {
            DataType::Float32 | DataType::Float64 => CallResult::Percentile(None),
            _ => CallResult::Percentile(Some(finish()?)),
        },
        _ => CallResult::Min,
    })
}
