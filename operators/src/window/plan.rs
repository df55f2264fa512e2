//! What a windowed aggregation keeps per group, worked out once from its specification.
//!
//! Aggregates share: `SUM(x)`, `AVG(x)` and `STDDEV(x)` read one sum; everything over the same argument and filter shares
//! one [`Input`] with its count of absent values (NULL or filtered out). `COUNT(x)` is rows less absent ones, so where
//! nothing is absent nothing more than the rows is counted.

use super::derived::{Derived, Part};
use super::ordered::Packed;
use crate::aggregate::{Finish, Shape};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use highwater_engine::error::BuildError;
use highwater_engine::graph::types::{PRECISION_MAX, aggregate_type, as_decimal, sql_type};
use highwater_engine::graph::{Aggregate, AggregateFunction, WindowSpec};
use std::sync::Arc;

/// An argument and a filter that aggregates share.
#[derive(Clone, Debug)]
pub struct Input {
    /// Column of the argument, behind the input's own a derived one; `None` for COUNT(*) with a filter.
    pub argument: Option<usize>,
    /// Column of the filter.
    pub filter: Option<usize>,
    /// The argument's type and shape.
    pub kind: Option<(DataType, Shape)>,
}

/// What is kept of an input per group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Σx.
    Sum,
    /// Σx².
    Squares,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The distinct values, with Σx and Σx² over them if asked for.
    Distinct {
        /// Keep Σx.
        sum: bool,
        /// Keep Σx².
        squares: bool,
    },
    /// All values.
    Bag,
    /// The greatest code of each register.
    Codes,
}

/// One column of state.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Position in [`Plan::inputs`].
    pub input: usize,
    /// What is kept.
    pub keep: Keep,
}

/// How an output column comes from the state; numbers are positions in [`Plan::kept`], `input` in [`Plan::inputs`].
#[derive(Clone, Debug)]
pub enum Made {
    /// COUNT(*).
    Rows,
    /// COUNT(x), COUNT(*) FILTER.
    Count { input: usize },
    /// COUNT(DISTINCT x).
    CountDistinct { set: usize },
    /// SUM, AVG and dispersions of integers and DECIMAL.
    Exact { function: AggregateFunction, from: Moments, finish: Finish },
    /// SUM, AVG and dispersions of DOUBLE.
    Double { function: AggregateFunction, from: Moments },
    /// MIN, MAX, BOOL_AND, BOOL_OR.
    Extreme { input: usize, at: usize },
    /// FIRST_VALUE, LAST_VALUE, ARG_MIN, ARG_MAX.
    Packed { input: usize, at: usize, packed: Arc<Packed> },
    /// LISTAGG.
    List { bag: usize, packed: Arc<Packed>, separator: String, label: String },
    /// PERCENTILE_CONT; of DOUBLE without a finisher.
    Percentile { input: usize, bag: usize, millionths: u32, finish: Option<Finish> },
    /// APPROX_PERCENTILE, from buckets.
    Bucket { input: usize, bag: usize, millionths: u32 },
    /// APPROX_COUNT_DISTINCT.
    ApproxCount { bag: usize },
    /// Covariances and correlations.
    Pair { function: AggregateFunction, from: Paired, finish: Finish },
    /// The same of DOUBLE.
    DoublePair { function: AggregateFunction, from: Paired },
}

/// Where the moments of a pair of columns are.
#[derive(Clone, Copy, Debug)]
pub struct Paired {
    /// The first of the two.
    pub input: usize,
    /// Σx and Σy.
    pub sums: [usize; 2],
    /// Σx² and Σy².
    pub squares: [usize; 2],
    /// Σ(x + y)², twice; of DOUBLE the two sums of products.
    pub both: [usize; 2],
}

/// Where the moments of an aggregate are.
#[derive(Clone, Copy, Debug)]
pub enum Moments {
    /// Over all values.
    All { input: usize, sum: usize, squares: Option<usize> },
    /// Over the distinct values of this set.
    Distinct { set: usize },
}

/// The state of a group and the results made from it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name, for errors.
    pub name: String,
    /// Key columns of the input.
    pub keys: Vec<usize>,
    /// Their fields.
    pub key_fields: Vec<Arc<Field>>,
    /// Arguments and filters.
    pub inputs: Vec<Input>,
    /// State columns.
    pub kept: Vec<Kept>,
    /// Columns that are made and stand behind those of the input, in order.
    pub derived: Vec<Derived>,
    /// One per aggregate: how it is made, and its type.
    pub results: Vec<(Made, DataType)>,
}

impl Plan {
    /// The plan of `spec` over rows of `input`.
    pub fn new(name: &str, spec: &WindowSpec, input: &SchemaRef) -> Result<Self, BuildError> {
        let column = |i: usize| {
            let field = input.fields().get(i);
            field
                .cloned()
                .ok_or_else(|| BuildError::new(format!("{name} names column {i} of {}", input.fields().len())))
        };
        let key_fields = spec.keys.iter().map(|k| column(*k)).collect::<Result<Vec<_>, _>>()?;
        if let Some(f) = key_fields.iter().find(|f| Shape::of(f.data_type()).is_none()) {
            let t = sql_type(f.data_type());
            return Err(BuildError::new(format!("{name}: {} of type {t} can't be a key", f.name())));
        }
        let keys = spec.keys.clone();
        let (inputs, kept, derived, results) = (vec![], vec![], vec![], vec![]);
        let mut plan = Self { name: name.to_owned(), keys, key_fields, inputs, kept, derived, results };
        for a in &spec.aggregates {
            let field = a.argument.map(column).transpose()?;
            let filter = a.filter.map(column).transpose()?;
            if filter.is_some_and(|f| f.data_type() != &DataType::Boolean) {
                return Err(BuildError::new(format!("{name}: the filter of {} is not BOOLEAN", a.label)));
            }
            let result = match a.function {
                f if f.is_ordered() => plan.ordered(a, field.as_deref(), input)?,
                f if f.pairs() => plan.pair(a, input)?,
                AggregateFunction::ApproxCountDistinct | AggregateFunction::ApproxPercentile { .. } => {
                    plan.approximate(a, input)?
                }
                _ => plan.aggregate(a, field.as_deref())?,
            };
            plan.results.push((result, a.returns.clone()));
        }
        Ok(plan)
    }

    fn aggregate(&mut self, a: &Aggregate, argument: Option<&Field>) -> Result<Made, BuildError> {
        use AggregateFunction::*;
        let refuse = |why: String| BuildError::new(format!("{}: {}: {why}", self.name, a.label));
        let kind = match argument.map(|f| f.data_type()) {
            None => None,
            Some(t) => match Shape::of(t) {
                Some(s) => Some((t.clone(), s)),
                None => return Err(refuse(format!("no aggregate takes {}", sql_type(t)))),
            },
        };
        let returned = |t: &DataType| match *t == a.returns {
            true => Ok(()),
            false => Err(refuse(format!("it is {}, not {}", sql_type(t), sql_type(&a.returns)))),
        };
        let Some((t, shape)) = &kind else {
            if a.function != Count || a.distinct {
                return Err(refuse("an argument is missing".into()));
            }
            returned(&DataType::Int64)?;
            return Ok(match a.filter {
                None => Made::Rows,
                Some(_) => Made::Count { input: self.input(a, None) },
            });
        };
        match a.function {
            Count => returned(&DataType::Int64)?,
            PercentileCont { .. } => returned(&aggregate_type(a.function, Some(t), None).map_err(refuse)?)?,
            f if f.adds() => match a.returns {
                DataType::Float32 | DataType::Float64 => {}
                _ if *shape != Shape::Double => {}
                _ => return Err(refuse(format!("it can't be {}", sql_type(&a.returns)))),
            },
            _ => returned(t)?,
        }
        let exact = match shape {
            Shape::Narrow | Shape::Wide if a.function.adds() => Some(Finish::new(a, t)?),
            Shape::Narrow | Shape::Wide if matches!(a.function, PercentileCont { .. }) => Some(Finish::new(a, t)?),
            Shape::Bytes if a.function.adds() => return Err(refuse(format!("it takes no {}", sql_type(t)))),
            _ => None,
        };
        let input = self.input(a, kind.clone());
        Ok(match a.function {
            Min | BoolAnd => Made::Extreme { input, at: self.keep(input, Keep::Min) },
            Max | BoolOr => Made::Extreme { input, at: self.keep(input, Keep::Max) },
            Count if a.distinct => Made::CountDistinct { set: self.distinct(input, false, false) },
            Count => Made::Count { input },
            PercentileCont { millionths } => {
                Made::Percentile { input, bag: self.keep(input, Keep::Bag), millionths, finish: exact }
            }
            function => {
                let from = self.moments(a, input);
                match exact {
                    Some(finish) => Made::Exact { function, from, finish },
                    None => Made::Double { function, from },
                }
            }
        })
    }

    /// FIRST_VALUE, LAST_VALUE, ARG_MIN, ARG_MAX: an extreme of packed rows. LISTAGG: all of them.
    fn ordered(&mut self, a: &Aggregate, argument: Option<&Field>, input: &SchemaRef) -> Result<Made, BuildError> {
        let refuse = |why: &str| BuildError::new(format!("{}: {}: {why}", self.name, a.label));
        if a.function.needs_frame() {
            return Err(refuse("it needs a trailing frame"));
        }
        let (Some(field), Some(value)) = (argument, a.argument) else { return Err(refuse("an argument is missing")) };
        if *field.data_type() != a.returns {
            return Err(refuse("it has the type of its argument"));
        }
        let right = a.function.reads_another().is_none_or(|reads| a.by.is_some() == reads);
        if !right || a.by.is_some_and(|c| c >= input.fields().len()) {
            return Err(refuse("what it compares is missing"));
        }
        let packed = Arc::new(Packed::new(a, value, input)?);
        let input = self.made(a, Derived::Packed(packed.clone()), input);
        if let AggregateFunction::ListAgg { .. } = a.function {
            let bag = self.keep(input, Keep::Bag);
            return Ok(Made::List { bag, packed, separator: a.separator.clone(), label: a.label.clone() });
        }
        let least = matches!(a.function, AggregateFunction::FirstValue | AggregateFunction::ArgMin);
        let at = self.keep(input, if least { Keep::Min } else { Keep::Max });
        Ok(Made::Packed { input, at, packed })
    }

    /// APPROX_COUNT_DISTINCT, APPROX_PERCENTILE: what is kept of values in their place.
    fn approximate(&mut self, a: &Aggregate, input: &SchemaRef) -> Result<Made, BuildError> {
        let refuse = |why: String| BuildError::new(format!("{}: {}: {why}", self.name, a.label));
        let Some(column) = a.argument else { return Err(refuse("an argument is missing".into())) };
        let t = input.field(column).data_type();
        let returns = aggregate_type(a.function, Some(t), None).map_err(refuse)?;
        if returns != a.returns {
            return Err(refuse(format!("it is {}, not {}", sql_type(&returns), sql_type(&a.returns))));
        }
        Ok(match a.function {
            AggregateFunction::ApproxPercentile { millionths } => {
                let input = self.made(a, Derived::Bucket(column), input);
                Made::Bucket { input, bag: self.keep(input, Keep::Bag), millionths }
            }
            _ => {
                let input = self.made(a, Derived::Code(column), input);
                Made::ApproxCount { bag: self.keep(input, Keep::Codes) }
            }
        })
    }

    /// Covariances and correlations: moments of both columns, and of both together.
    fn pair(&mut self, a: &Aggregate, input: &SchemaRef) -> Result<Made, BuildError> {
        let refuse = |why: String| BuildError::new(format!("{}: {}: {why}", self.name, a.label));
        let (Some(x), Some(y)) = (a.argument, a.by.filter(|c| *c < input.fields().len())) else {
            return Err(refuse("a column is missing".into()));
        };
        let types = [x, y].map(|c| input.field(c).data_type());
        let returns = aggregate_type(a.function, Some(types[0]), Some(types[1])).map_err(refuse)?;
        if returns != a.returns {
            return Err(refuse(format!("it is {}, not {}", sql_type(&returns), sql_type(&a.returns))));
        }
        let scale = match types.map(as_decimal) {
            [Some((_, s)), Some((_, t))] => Some(s.max(t)),
            _ => None,
        };
        let mut made = |part| self.made(a, Derived::Pair { columns: [x, y], scale, part }, input);
        let both = match scale {
            Some(_) => [Part::Sum; 1].map(&mut made).repeat(2),
            None => [Part::Product, Part::Rest].map(&mut made).to_vec(),
        };
        let of = [Part::First, Part::Second].map(made);
        let from = Paired {
            input: of[0],
            sums: of.map(|i| self.keep(i, Keep::Sum)),
            squares: of.map(|i| self.keep(i, Keep::Squares)),
            both: [both[0], both[1]].map(|i| self.keep(i, if scale.is_some() { Keep::Squares } else { Keep::Sum })),
        };
        let function = a.function;
        Ok(match scale {
            // a correlation has no scale: its overflow is worded as a covariance's
            Some(s) => {
                let returns = DataType::Decimal128(PRECISION_MAX, s);
                let function = AggregateFunction::CovarPop;
                let of_scale = match a.function {
                    AggregateFunction::Corr => &Aggregate { function, returns, ..a.clone() },
                    _ => a,
                };
                let finish = Finish::new(of_scale, &DataType::Decimal128(PRECISION_MAX, s))?;
                Made::Pair { function: a.function, from, finish }
            }
            None => Made::DoublePair { function, from },
        })
    }

    /// The input of a derived column, which is made if there is none like it.
    fn made(&mut self, a: &Aggregate, derived: Derived, input: &SchemaRef) -> usize {
        let t = derived.data_type();
        let kind = Shape::of(&t).map(|shape| (t, shape));
        let at = self.derived.iter().position(|d| *d == derived).unwrap_or_else(|| {
            self.derived.push(derived);
            self.derived.len() - 1
        });
        self.input(&Aggregate { argument: Some(input.fields().len() + at), ..a.clone() }, kind)
    }

    /// The columns that are read of rows of `input`: its own, and derived ones.
    pub fn read(&self, input: &SchemaRef) -> SchemaRef {
        let own = input.fields().iter().cloned();
        let derived = self.derived.iter().enumerate();
        let derived = derived.map(|(i, d)| Arc::new(Field::new(format!("derived_{i}"), d.data_type(), true)));
        Arc::new(Schema::new(own.chain(derived).collect::<Vec<_>>()))
    }

    fn moments(&mut self, a: &Aggregate, input: usize) -> Moments {
        let squares = a.function.is_dispersion();
        if a.distinct {
            return Moments::Distinct { set: self.distinct(input, true, squares) };
        }
        let sum = self.keep(input, Keep::Sum);
        Moments::All { input, sum, squares: squares.then(|| self.keep(input, Keep::Squares)) }
    }

    fn input(&mut self, a: &Aggregate, kind: Option<(DataType, Shape)>) -> usize {
        let known = self.inputs.iter().position(|i| i.argument == a.argument && i.filter == a.filter);
        known.unwrap_or_else(|| {
            self.inputs.push(Input { argument: a.argument, filter: a.filter, kind });
            self.inputs.len() - 1
        })
    }

    fn keep(&mut self, input: usize, keep: Keep) -> usize {
        let known = self.kept.iter().position(|k| k.input == input && k.keep == keep);
        known.unwrap_or_else(|| {
            self.kept.push(Kept { input, keep });
            self.kept.len() - 1
        })
    }

    /// The set of distinct values of an input, with at least these moments.
    fn distinct(&mut self, input: usize, sum: bool, squares: bool) -> usize {
        for (i, k) in self.kept.iter_mut().enumerate() {
            if let (true, Keep::Distinct { sum: s, squares: q }) = (k.input == input, &mut k.keep) {
                (*s, *q) = (*s | sum, *q | squares);
                return i;
            }
        }
        self.kept.push(Kept { input, keep: Keep::Distinct { sum, squares } });
        self.kept.len() - 1
    }

    /// Type and shape of the argument of `kept[i]`.
    pub fn argument(&self, i: usize) -> (&DataType, Shape) {
        match &self.inputs[self.kept[i].input].kind {
            Some((t, s)) => (t, *s),
            None => unreachable!("only counts have no argument, and they keep nothing"),
        }
    }

    /// The schema of partial results: keys, `slice_last`, `slice_enter`, rows, absent values, state. See
    /// [`super::partial`].
    pub fn partials(&self) -> SchemaRef {
        self.partials_of(["slice_last", "slice_enter"])
    }

    /// The same with other columns of time.
    pub fn partials_of(&self, times: [&str; 2]) -> SchemaRef {
        let mut fields = self.key_fields.clone();
        let mut add = |name: String, t: DataType, nullable| fields.push(Arc::new(Field::new(name, t, nullable)));
        for name in times.into_iter().chain(["rows"]) {
            add(name.into(), DataType::Int64, false);
        }
        for i in 0..self.inputs.len() {
            add(format!("absent_{i}"), DataType::Int64, false);
        }
        for (i, k) in self.kept.iter().enumerate() {
            let (t, shape) = self.argument(i);
            let (t, nullable) = match k.keep {
                Keep::Min | Keep::Max => (t.clone(), true),
                Keep::Sum if shape == Shape::Narrow => (DataType::Decimal128(38, 0), false),
                Keep::Sum | Keep::Squares if shape == Shape::Double => (DataType::Binary, false),
                Keep::Sum | Keep::Squares => (DataType::Decimal256(76, 0), false),
                Keep::Distinct { .. } => (DataType::List(item(t)), false),
                Keep::Bag | Keep::Codes => (DataType::List(item(&counted(t))), false),
            };
            add(format!("state_{i}"), t, nullable);
        }
        Arc::new(Schema::new(fields))
    }
}

/// A value and how often it is there.
pub fn counted(t: &DataType) -> DataType {
    DataType::Struct(vec![Field::new("value", t.clone(), false), Field::new("n", DataType::Int64, false)].into())
}

/// The item field of a list of values.
pub fn item(t: &DataType) -> Arc<Field> {
    Arc::new(Field::new("item", t.clone(), false))
}
