//! The scalar functions of the SQL dialect: an allow-list, each with Flink's meaning.
//!
//! A function is a name, a rule from argument types to the types it wants and the type it returns, and a kernel. The rule
//! may look at constant arguments (`ROUND(amount, 1)` has the scale 1), the kernel may be prepared from them (a regular
//! expression is compiled once). All functions are deterministic: nothing here reads a clock or a random source.
//!
//! Expected values in the tests are those of Flink's own tests (`ScalarFunctionsTest`, `TemporalTypesTest`) and of its
//! documentation (`sql_functions.yml`).

mod hash;
mod number;
mod pattern;
mod round;
mod string;
mod time;
mod time_text;
mod udf;

use super::kernel::{Args, Compute, Failure};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimeUnit};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

pub(super) use pattern::like_pattern;
pub(super) use time::{duration, plus_interval};
pub use udf::scalar_udfs;

/// An argument as the rules see it.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its type; `Null` for a bare NULL.
    pub data_type: DataType,
    /// Its value, an array of one row, if it is constant.
    pub constant: Option<ArrayRef>,
}

impl Argument {
    /// An argument that is not constant.
    pub fn of(data_type: &DataType) -> Self {
        Self { data_type: data_type.clone(), constant: None }
    }
    /// The text of a constant STRING that is not NULL.
    fn text(&self) -> Option<&str> {
        use arrow::array::{Array, AsArray};
        let array = self.constant.as_ref()?;
        let texts = array.as_string_opt::<i32>()?;
        texts.is_valid(0).then(|| texts.value(0))
    }
    /// The value of a constant integer that is not NULL.
    fn integer(&self) -> Option<i64> {
        use arrow::array::AsArray;
        use arrow::datatypes::Int64Type;
        let wide = arrow::compute::cast(self.constant.as_ref()?, &DataType::Int64).ok()?;
        wide.as_primitive::<Int64Type>().iter().next()?
    }
}

/// The types of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typing {
    /// What the arguments are cast to.
    pub args: Vec<DataType>,
    /// What the function returns.
    pub returns: DataType,
}

/// A rule from arguments to types. Its error says what the function takes.
type Rule = fn(&[Argument]) -> Result<Typing, String>;

/// How a call is computed.
#[derive(Clone, Copy)]
enum Body {
    /// By a kernel that takes everything by row.
    Plain(fn(&Args<'_>) -> Result<ArrayRef, Failure>),
    /// By a kernel made for the (already cast) arguments and the type of the result.
    Prepared(fn(&[Argument], &DataType) -> Result<Compute, String>),
    /// By the lowering, which evaluates some arguments only where they are needed.
    Lazy(fn(&Args<'_>) -> Result<ArrayRef, Failure>),
}

/// A scalar function.
pub struct Function {
    name: &'static str,
    aliases: &'static [&'static str],
    rule: Rule,
    body: Body,
    total: bool,
}

impl Function {
    const fn plain(name: &'static str, rule: Rule, kernel: fn(&Args<'_>) -> Result<ArrayRef, Failure>) -> Self {
        Self { name, aliases: &[], rule, body: Body::Plain(kernel), total: false }
    }
    const fn prepared(
        name: &'static str,
        rule: Rule,
        bind: fn(&[Argument], &DataType) -> Result<Compute, String>,
    ) -> Self {
        Self { name, aliases: &[], rule, body: Body::Prepared(bind), total: false }
    }
    const fn lazy(name: &'static str, rule: Rule, kernel: fn(&Args<'_>) -> Result<ArrayRef, Failure>) -> Self {
        Self { name, aliases: &[], rule, body: Body::Lazy(kernel), total: false }
    }
    const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
    /// One that fails on no value.
    const fn total(mut self) -> Self {
        self.total = true;
        self
    }
    /// Whether the function itself fails on no value, so that it needs no guard behind AND and OR.
    pub fn is_total(&self) -> bool {
        self.total
    }
    /// The lower-case name that [`highwater_engine::expr::Expr::Call`] uses.
    pub fn name(&self) -> &'static str {
        self.name
    }
    /// Other names, lower case.
    pub fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }
    /// What the arguments are cast to and what the call returns, or what the function takes instead.
    pub fn typing(&self, args: &[Argument]) -> Result<Typing, String> {
        (self.rule)(args).map_err(|e| format!("{}: {e}", self.name.to_uppercase()))
    }
    /// The kernel for arguments of the types that [`Function::typing`] asked for, with the result it promised.
    pub fn bind(&self, args: &[Argument], returns: &DataType) -> Result<Compute, String> {
        match self.body {
            Body::Plain(kernel) | Body::Lazy(kernel) => Ok(Arc::new(kernel)),
            Body::Prepared(bind) => bind(args, returns).map_err(|e| format!("{}: {e}", self.name.to_uppercase())),
        }
    }
    /// Whether some arguments must be evaluated only where they are needed.
    pub fn is_lazy(&self) -> bool {
        matches!(self.body, Body::Lazy(_))
    }
}

/// Every function, in order of its name.
pub fn functions() -> &'static [Function] {
    &FUNCTIONS
}

/// A function by its name or an alias, lower case.
pub fn function(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).map(|i| &FUNCTIONS[*i])
}

static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let all = [number::functions(), round::functions(), string::functions(), pattern::functions(), hash::functions()];
    let times = [time::functions(), time_text::functions()];
    let mut all: Vec<Function> = all.into_iter().chain(times).flatten().collect();
    all.sort_by_key(|f| f.name);
    all
});

static BY_NAME: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for (i, f) in FUNCTIONS.iter().enumerate() {
        for name in std::iter::once(&f.name).chain(f.aliases) {
            assert!(names.insert(*name, i).is_none(), "two functions are named {name}");
        }
    }
    names
});

/// Casts every argument as `want` says and returns `returns`. `want` has one letter an argument: `s` STRING, `i` BIGINT
/// from any integer, `d` DOUBLE from any number, `t` TIMESTAMP or DATE as it is; arguments behind `?` may be left out,
/// the one before `*` may repeat.
fn signature(args: &[Argument], want: &str, returns: DataType) -> Result<Typing, String> {
    let letters: Vec<char> = want.chars().filter(|c| !"?*".contains(*c)).collect();
    let required = want.find('?').unwrap_or(letters.len());
    let many = want.ends_with('*');
    if args.len() < required || (args.len() > letters.len() && !many) {
        return Err(format!("{} given, it takes {}", count(args.len()), usage(&letters, required, many)));
    }
    let types = args.iter().enumerate().map(|(i, a)| {
        let letter = letters.get(i).or(letters.last()).copied().unwrap_or('s');
        coerce(&a.data_type, letter).ok_or_else(|| {
            let found = highwater_engine::graph::types::sql_type(&a.data_type);
            format!("argument {} is {found}, it takes {}", i + 1, usage(&letters, required, many))
        })
    });
    Ok(Typing { args: types.collect::<Result<_, _>>()?, returns })
}

fn count(n: usize) -> String {
    if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") }
}

fn usage(letters: &[char], required: usize, many: bool) -> String {
    let name = |c: &char| match c {
        'i' => "integer",
        'd' => "number",
        't' => "time",
        _ => "STRING",
    };
    let mut out = String::from("(");
    for (i, c) in letters.iter().enumerate() {
        let open = if i >= required { "[" } else { "" };
        let comma = if i > 0 { ", " } else { "" };
        out.push_str(&format!("{open}{comma}{}{}", name(c), if i >= required { "]" } else { "" }));
    }
    out + if many { ", ..)" } else { ")" }
}

/// The type an argument of type `from` is cast to where a signature says `letter`; `None` if it can't be.
fn coerce(from: &DataType, letter: char) -> Option<DataType> {
    let number = from.is_integer() || from.is_floating() || matches!(from, DataType::Decimal128(..));
    let null = *from == DataType::Null;
    match letter {
        's' if null || super::cast::print::bind(from).is_some() || *from == DataType::Utf8 => Some(DataType::Utf8),
        'i' if null || from.is_integer() => Some(DataType::Int64),
        'd' if null || number => Some(DataType::Float64),
        't' if null => Some(TIMESTAMP_3),
        't' if matches!(from, DataType::Timestamp(..) | DataType::Date32) => Some(from.clone()),
        _ => None,
    }
}

/// TIMESTAMP(3).
const TIMESTAMP_3: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);
