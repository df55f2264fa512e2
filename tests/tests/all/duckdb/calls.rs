//! Random conditions, scalar expressions and aggregates over the columns of a relation: our text beside DuckDB's.
//!
//! DuckDB's text of an aggregate has two marks: `@` is where FILTER and OVER go, `#` where OVER alone goes.

use super::random::Random;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Whole,
    /// A DECIMAL of two digits.
    Money,
    /// A DECIMAL of six digits.
    Fine,
    Text,
    Flag,
    Time,
}

impl Kind {
    /// The type of a sink's column.
    pub fn sql(self) -> &'static str {
        match self {
            Kind::Whole => "BIGINT",
            Kind::Money => "DECIMAL(38, 2)",
            Kind::Fine => "DECIMAL(38, 6)",
            Kind::Text => "STRING",
            Kind::Flag => "BOOLEAN",
            Kind::Time => "TIMESTAMP(3)",
        }
    }
}

/// A column: its name in both engines.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

pub fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.into(), kind }
}

/// One value in both engines.
#[derive(Clone, Debug)]
pub struct Call {
    pub ours: String,
    pub theirs: String,
    pub kind: Kind,
}

/// Where an aggregate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A window or a session: FIRST_VALUE and ARG_MAX go by the order of rows, if rows have one.
    Window { ordered: bool },
    /// A RANGE frame.
    Range { ordered: bool },
    /// A frame of rows.
    Rows,
}

impl Over {
    fn ordered(self) -> bool {
        matches!(self, Over::Window { ordered: true } | Over::Range { ordered: true } | Over::Rows)
    }
    fn in_window(self) -> bool {
        matches!(self, Over::Window { .. })
    }
}

/// A column of one of the kinds, if there is one.
pub fn pick(r: &mut Random, columns: &[Column], kinds: &[Kind]) -> Option<Column> {
    let fit: Vec<Column> = columns.iter().filter(|c| kinds.contains(&c.kind)).cloned().collect();
    (!fit.is_empty()).then(|| r.of(&fit))
}

/// A condition that both engines read alike.
pub fn condition(r: &mut Random, columns: &[Column]) -> String {
    match r.below(10) {
        0 => format!("({} AND {})", simple(r, columns), simple(r, columns)),
        1 => format!("({} OR {})", simple(r, columns), simple(r, columns)),
        2 => format!("NOT ({})", simple(r, columns)),
        _ => simple(r, columns),
    }
}

fn simple(r: &mut Random, columns: &[Column]) -> String {
    let fit = [Kind::Whole, Kind::Money, Kind::Text, Kind::Flag];
    let Some(Column { name, kind }) = pick(r, columns, &fit) else { return "1 = 1".into() };
    match kind {
        Kind::Whole => match r.below(6) {
            0 => format!("{name} IS NULL"),
            1 => format!("{name} IS NOT NULL"),
            2 => format!("{name} IN (0, 2, {})", r.between(-5, 5)),
            3 => format!("{name} BETWEEN {} AND {}", r.between(-50, 1), r.between(2, 60)),
            4 => format!("{name} % 2 = 0"),
            _ => format!("{name} {} {}", r.of(&["<", ">=", "<>"]), r.between(-20, 20)),
        },
        Kind::Money => format!("{name} {} {}.{:02}", r.of(&["<", ">="]), r.between(0, 900), r.below(100)),
        Kind::Text => r.of(&[
            format!("{name} = 'a'"),
            format!("{name} <> 'b'"),
            format!("{name} IN ('a', 'dd')"),
            format!("{name} LIKE 'd%'"),
            format!("CHAR_LENGTH({name}) > 1"),
            format!("{name} IS NULL"),
        ]),
        _ => r.of(&[name.clone(), format!("NOT {name}"), format!("{name} IS NOT TRUE")]),
    }
}

/// A value of a column, changed or not.
pub fn scalar(r: &mut Random, c: &Column) -> Call {
    let n = &c.name;
    let same = |text: String, kind| Call { ours: text.clone(), theirs: text, kind };
    match (c.kind, r.below(8)) {
        (Kind::Whole, 0) => same(format!("{n} + {}", r.between(1, 9)), Kind::Whole),
        (Kind::Whole, 1) => same(format!("COALESCE({n}, -1)"), Kind::Whole),
        (Kind::Whole, 2) => same(format!("CASE WHEN {n} > 5 THEN {n} WHEN {n} IS NULL THEN 7 ELSE 0 END"), Kind::Whole),
        (Kind::Whole, 3) => same(format!("ABS({n}) % 7"), Kind::Whole),
        (Kind::Whole, 4) => same(format!("NULLIF({n}, 2)"), Kind::Whole),
        (Kind::Text, 0) => same(format!("UPPER({n})"), Kind::Text),
        (Kind::Text, 1) => same(format!("CHAR_LENGTH({n})"), Kind::Whole),
        (Kind::Text, 2) => same(format!("{n} || '!'"), Kind::Text),
        (Kind::Text, 3) => same(format!("SUBSTRING({n} FROM 1 FOR 1)"), Kind::Text),
        (Kind::Text, 4) => same(format!("COALESCE({n}, '?')"), Kind::Text),
        (Kind::Text, 5) => same(format!("REPLACE({n}, 'd', 'xy')"), Kind::Text),
        (Kind::Flag, 0) => same(format!("NOT {n}"), Kind::Flag),
        (Kind::Flag, 1) => same(format!("{n} IS TRUE"), Kind::Flag),
        (kind, _) => same(n.clone(), kind),
    }
}

/// A random aggregate. Its FILTER is put in both texts; OVER is left to the caller: our text ends where it goes.
pub fn aggregate(r: &mut Random, columns: &[Column], over: Over) -> Call {
    let filter = r.chance(25).then(|| condition(r, columns));
    loop {
        if let Some(call) = unfiltered(r, columns, over, filter.as_deref()) {
            let text = filter.map(|f| format!(" FILTER (WHERE {f})")).unwrap_or_default();
            let theirs = call.theirs.replace('@', &format!("{text}#"));
            return Call { ours: format!("{}{text}", call.ours), theirs, ..call };
        }
    }
}

fn unfiltered(r: &mut Random, columns: &[Column], over: Over, filter: Option<&str>) -> Option<Call> {
    use Kind::*;
    let call = |ours: String, theirs: String, kind| Some(Call { ours, theirs, kind });
    let mut one = |kinds: &[Kind]| pick(r, columns, kinds);
    let any = one(&[Whole, Money, Text, Flag]).map_or_else(|| "ts".into(), |c| c.name);
    let comparable = one(&[Whole, Money, Fine, Text, Time])?;
    let (x, kind) = (comparable.name, comparable.kind);
    let money = one(&[Money]).map(|c| c.name);
    let whole = one(&[Whole]).map(|c| c.name);
    let flag = one(&[Flag]).map(|c| c.name);
    // FIRST_VALUE and what is like it: a value where the row counts, NULL where not
    let counted = |x: &str| filter.map_or(x.to_owned(), |f| format!("CASE WHEN {f} THEN {x} END"));
    match r.below(22) {
        0 | 1 => call("COUNT(*)".into(), "count(*)@".into(), Whole),
        2 => call(format!("COUNT({any})"), format!("count({any})@"), Whole),
        3 | 4 => call(format!("COUNT(DISTINCT {any})"), format!("count(DISTINCT {any})@"), Whole),
        5 => whole.and_then(|w| call(format!("SUM({w})"), format!("sum({w})@"), Whole)),
        6 => money.and_then(|m| call(format!("SUM({m})"), format!("sum({m})@"), Money)),
        7 => whole.and_then(|w| call(format!("AVG({w})"), format!("mean(sum({w})@, count({w})@)"), Whole)),
        8 => money.and_then(|m| call(format!("AVG({m})"), format!("money_mean(sum(cents({m}))@, count({m})@)"), Fine)),
        9 | 10 => call(format!("MIN({x})"), format!("min({x})@"), kind),
        11 => call(format!("MAX({x})"), format!("max({x})@"), kind),
        12 => money.and_then(|m| {
            let (name, macro_, less) = r.of(&[
                ("VAR_POP", "variance_of", 0),
                ("VAR_SAMP", "variance_of", 1),
                ("STDDEV_POP", "deviation_of", 0),
                ("STDDEV_SAMP", "deviation_of", 1),
            ]);
            let c = format!("cents({m})");
            call(format!("{name}({m})"), format!("{macro_}(count({m})@, sum({c})@, sum({c} * {c})@, {less})"), Fine)
        }),
        13 => flag.and_then(|f| {
            let (name, theirs) = r.of(&[("BOOL_AND", "bool_and"), ("BOOL_OR", "bool_or")]);
            call(format!("{name}({f})"), format!("{theirs}({f})@"), Flag)
        }),
        14 | 15 if over.ordered() => {
            let (name, theirs, desc) = r.of(&[("FIRST_VALUE", "first", ""), ("LAST_VALUE", "last", "")]);
            let order = format!("ORDER BY ts{desc}, part, off");
            let value = counted(&x);
            let theirs = match over.in_window() {
                true => format!("{theirs}({value} {order}) FILTER (WHERE ({value}) IS NOT NULL)"),
                false => format!("{theirs}_value({value} {order} IGNORE NULLS)#"),
            };
            call(format!("{name}({x})"), theirs, kind)
        }
        16 if over.ordered() && over.in_window() => {
            let by = pick(r, columns, &[Whole, Money, Text])?.name;
            let (name, order) = r.of(&[("ARG_MIN", "ASC"), ("ARG_MAX", "DESC")]);
            let value = counted(&x);
            let theirs = format!(
                "first({value} ORDER BY {by} {order}, ts, part, off) FILTER (WHERE ({value}) IS NOT NULL AND {by} IS NOT NULL)"
            );
            call(format!("{name}({x}, {by})"), theirs, kind)
        }
        17 if over == (Over::Range { ordered: true }) => {
            let n = r.between(1, 4);
            let value = counted(&x);
            let theirs = format!("nth_value({value}, {n} ORDER BY ts, part, off IGNORE NULLS)#");
            call(format!("NTH_VALUE({x}, {n})"), theirs, kind)
        }
        18 if !matches!(over, Over::Rows) || r.chance(50) => {
            let share = r.of(&[0, 250_000, 500_000, 900_000, 333_333, 1_000_000]);
            let (text, sorted) = match money {
                Some(m) => (m.clone(), format!("sorted(list(cents({m}))@), 10000")),
                None => whole.map(|w| (w.clone(), format!("sorted(list({w}::HUGEINT)@), 1000000")))?,
            };
            let ours = match share {
                500_000 => format!("MEDIAN({text})"),
                _ => format!("PERCENTILE_CONT({}) WITHIN GROUP (ORDER BY {text})", f64::from(share) / 1e6),
            };
            call(ours, format!("percentile_of({sorted}, {share})"), Fine)
        }
        19 if over.in_window() => {
            let (m, w) = (money?, whole?);
            let of = |x: &str, y: &str| format!("CASE WHEN {y} IS NOT NULL THEN cents({x}) END");
            let (x, y) = (of(&m, &w), of(&w, &m));
            let (name, less) = r.of(&[("COVAR_POP", 0), ("COVAR_SAMP", 1)]);
            let theirs = format!("covariance_of(count({x})@, sum({x})@, sum({y})@, sum(({x}) * ({y}))@, {less})");
            call(format!("{name}({m}, {w})"), theirs, Fine)
        }
        20 if over.in_window() => {
            let text = pick(r, columns, &[Text])?.name;
            let by = pick(r, columns, &[Whole, Money, Text])?.name;
            let (ours, theirs) = match over.ordered() {
                false => (text.clone(), text.clone()),
                true if r.chance(40) => (String::new(), "ts, part, off".into()),
                true if r.chance(50) => (format!("{by} DESC"), format!("{by} DESC NULLS LAST, ts, part, off")),
                true => (by.clone(), format!("{by} NULLS FIRST, ts, part, off")),
            };
            let ours = if ours.is_empty() { ours } else { format!(" ORDER BY {ours}") };
            call(format!("LISTAGG({text}, ';'{ours})"), format!("string_agg({text}, ';' ORDER BY {theirs})@"), Text)
        }
        // of so few values it is exact
        21 if over.in_window() => {
            let text = pick(r, columns, &[Text])?.name;
            call(format!("APPROX_COUNT_DISTINCT({text})"), format!("count(DISTINCT {text})@"), Whole)
        }
        _ => None,
    }
}
