//! Parts of a time, cutting it to a unit, adding to it, and counts as times. LTZ times are looked at in their zone.
//!
//! The day of the week counts from Sunday = 1 (DAYOFWEEK, EXTRACT(DOW ..)), weeks of the year are ISO weeks, but FLOOR
//! and CEIL TO WEEK begin weeks on Sunday: all three as in Flink.

use super::super::calendar::{
    DAY_MS, Unit, Zone, add_months, civil, days, iso_week, iso_weekday, month_length, per_second,
};
use super::super::kernel::{Args, Compute, Failure};
use super::{Argument, Function, TIMESTAMP_3, Typing, signature};
use arrow::array::{Array, ArrayRef, AsArray, DurationMillisecondArray, Int64Array, PrimitiveArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int32Type, Int64Type, IntervalMonthDayNanoType, TimeUnit};
use highwater_engine::graph::types::sql_type;
use std::sync::Arc;

pub(super) fn functions() -> Vec<Function> {
    let mut all = vec![
        Function::prepared("extract", |a| named_unit(a, 2).map(|(t, _)| bigint(t)), extract).or(&["date_part"]),
        Function::prepared("date_trunc", |a| named_unit(a, 2).map(|(t, _)| same(t)), |a, r| cut(a, r, false)),
        Function::prepared("date_ceil", |a| named_unit(a, 2).map(|(t, _)| same(t)), |a, r| cut(a, r, true)),
        Function::prepared("timestampdiff", diff_types, difference),
        Function::prepared("timestampadd", add_types, add),
        Function::prepared("to_timestamp_ltz", ltz_types, to_timestamp_ltz),
    ];
    macro_rules! parts {
        ($($name:literal => $part:expr),* $(,)?) => {
            $(all.push(Function::prepared($name, |a| signature(a, "t", DataType::Int64), |a, _| part_of($part, &a[0]))));*
        };
    }
    parts!(
        "year" => Part::Year, "quarter" => Part::Quarter, "month" => Part::Month, "week" => Part::Week,
        "dayofyear" => Part::DayOfYear, "dayofmonth" => Part::Day, "dayofweek" => Part::DayOfWeek,
        "hour" => Part::Hour, "minute" => Part::Minute, "second" => Part::Second,
    );
    all
}

// ---- a time as local seconds and a rest

/// A DATE or TIMESTAMP type, taken apart.
#[derive(Clone, Copy)]
struct Clock {
    date: bool,
    per_second: i64,
    zone: Zone,
}

impl Clock {
    fn of(t: &DataType) -> Result<Self, String> {
        let per_second = match t {
            DataType::Date32 => 1,
            DataType::Timestamp(u, _) => per_second(*u),
            t => return Err(format!("takes a time, not {}", sql_type(t))),
        };
        Ok(Self { date: *t == DataType::Date32, per_second, zone: Zone::of(t).map_err(|f| f.0)? })
    }
    /// Local time in the type's unit (seconds for a DATE).
    fn local(self, v: i64) -> Option<i64> {
        if self.date { v.checked_mul(86_400) } else { self.zone.local(v, self.per_second) }
    }
    fn instant(self, local: i64) -> Option<i64> {
        if self.date { Some(local.div_euclid(86_400)) } else { self.zone.instant(local, self.per_second) }
    }
    fn per_day(self) -> i64 {
        86_400 * self.per_second
    }
}

fn failed(t: &DataType) -> Failure {
    Failure::new(format!("the time does not fit {}", sql_type(t)))
}

/// The counts of a time argument as BIGINT.
fn counts(array: &ArrayRef) -> Result<Int64Array, Failure> {
    let array = match array.data_type() {
        DataType::Date32 => cast_with_options(array, &DataType::Int32, &CastOptions::default())?,
        _ => array.clone(),
    };
    Ok(cast_with_options(&array, &DataType::Int64, &CastOptions::default())?.as_primitive::<Int64Type>().clone())
}

/// Counts as an array of a time type.
fn times(counts: Int64Array, t: &DataType) -> Result<ArrayRef, Failure> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    match t {
        DataType::Date32 => {
            let days = cast_with_options(&counts, &DataType::Int32, &options).map_err(|_| failed(t))?;
            Ok(cast_with_options(&days, t, &options)?)
        }
        _ => Ok(cast_with_options(&counts, t, &options)?),
    }
}

/// Argument `i` as counts, one per row of the call or one for all.
struct Counts {
    values: Int64Array,
    scalar: bool,
}

impl Counts {
    fn of(args: &Args<'_>, i: usize) -> Result<Self, Failure> {
        Ok(Self { values: counts(args.array(i))?, scalar: args.is_scalar(i) })
    }
    fn get(&self, row: usize) -> Option<i64> {
        let i = if self.scalar { 0 } else { row };
        self.values.is_valid(i).then(|| self.values.values()[i])
    }
}

// ---- units by name

/// The unit of a call whose first argument is its name, and the type of the last argument, a time.
fn named_unit(args: &[Argument], n: usize) -> Result<(DataType, String), String> {
    if args.len() != n {
        return Err(format!("takes {n} arguments, {} given", args.len()));
    }
    // unknown while types are coerced: then any text will do
    let unit = args[0].text().unwrap_or("DAY").to_owned();
    match &args[n - 1].data_type {
        DataType::Null => Ok((TIMESTAMP_3, unit)),
        t @ (DataType::Timestamp(..) | DataType::Date32) => Ok((t.clone(), unit)),
        t => Err(format!("takes a time, not {}", sql_type(t))),
    }
}

fn bigint(time: DataType) -> Typing {
    Typing { args: vec![DataType::Utf8, time], returns: DataType::Int64 }
}

fn same(time: DataType) -> Typing {
    Typing { args: vec![DataType::Utf8, time.clone()], returns: time }
}

fn unit(args: &[Argument]) -> Result<Unit, String> {
    let name = args[0].text().ok_or("the unit must be a constant")?;
    Unit::parse(name)
        .ok_or_else(|| format!("unknown unit {name}; use SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR"))
}

// ---- parts

#[derive(Clone, Copy)]
enum Part {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfYear,
    DayOfWeek,
    IsoDayOfWeek,
    Hour,
    Minute,
    Second,
    /// The digits of the second behind the point, as a count of so many in a second.
    Fraction(i64),
    Epoch,
}

impl Part {
    fn parse(name: &str) -> Result<Self, String> {
        Ok(match name.to_ascii_uppercase().as_str() {
            "MILLENNIUM" => Self::Millennium,
            "CENTURY" => Self::Century,
            "DECADE" => Self::Decade,
            "YEAR" => Self::Year,
            "ISOYEAR" => Self::IsoYear,
            "QUARTER" => Self::Quarter,
            "MONTH" => Self::Month,
            "WEEK" => Self::Week,
            "DAY" => Self::Day,
            "DOY" => Self::DayOfYear,
            "DOW" => Self::DayOfWeek,
            "ISODOW" => Self::IsoDayOfWeek,
            "HOUR" => Self::Hour,
            "MINUTE" => Self::Minute,
            "SECOND" => Self::Second,
            "MILLISECOND" => Self::Fraction(1_000),
            "MICROSECOND" => Self::Fraction(1_000_000),
            "NANOSECOND" => Self::Fraction(1_000_000_000),
            "EPOCH" => Self::Epoch,
            other => return Err(format!("unknown part {other} of a time")),
        })
    }
    fn of(self, local: i64, clock: Clock) -> i64 {
        let per = clock.per_second;
        let day = || local.div_euclid(clock.per_day());
        let second = || local.div_euclid(per).rem_euclid(86_400);
        let year = || civil(day()).0;
        // centuries and millennia begin in their year 1
        let period = |years: i64| if year() > 0 { (year() + years - 1) / years } else { (year() - years) / years };
        match self {
            Self::Millennium => period(1_000),
            Self::Century => period(100),
            Self::Decade => year().div_euclid(10),
            Self::Year => year(),
            Self::IsoYear => iso_week(day()).0,
            Self::Quarter => i64::from((civil(day()).1 - 1) / 3 + 1),
            Self::Month => i64::from(civil(day()).1),
            Self::Week => iso_week(day()).1,
            Self::Day => i64::from(civil(day()).2),
            Self::DayOfYear => day() - days((year(), 1, 1)) + 1,
            Self::DayOfWeek => iso_weekday(day()) % 7 + 1,
            Self::IsoDayOfWeek => iso_weekday(day()),
            Self::Hour => second() / 3_600,
            Self::Minute => second() / 60 % 60,
            Self::Second => second() % 60,
            Self::Fraction(digits) => {
                let fraction = local.rem_euclid(per);
                if digits >= per { fraction * (digits / per) } else { fraction / (per / digits) }
            }
            Self::Epoch => local.div_euclid(per),
        }
    }
}

fn extract(args: &[Argument], _: &DataType) -> Result<Compute, String> {
    let part = Part::parse(args[0].text().ok_or("the part must be a constant")?)?;
    let kernel = part_of(part, &args[1])?;
    Ok(Arc::new(move |a: &Args<'_>| {
        let time = [a.array(1).clone()];
        let rows = if a.is_scalar(1) { 1 } else { a.rows() };
        kernel(&Args::new(&time, &a.scalars()[1..], rows))
    }))
}

fn part_of(part: Part, time: &Argument) -> Result<Compute, String> {
    let t = time.data_type.clone();
    let clock = Clock::of(&t)?;
    Ok(Arc::new(move |a: &Args<'_>| {
        let utc_epoch = matches!(part, Part::Epoch) && !clock.date;
        let local = |v: i64| if utc_epoch { Some(v) } else { clock.local(v) };
        let f = |v: i64| local(v).map(|l| part.of(l, clock)).ok_or_else(|| failed(&t));
        Ok(Arc::new(counts(a.array(0))?.try_unary::<_, Int64Type, Failure>(f)?) as ArrayRef)
    }))
}

// ---- FLOOR and CEIL

fn cut(args: &[Argument], returns: &DataType, up: bool) -> Result<Compute, String> {
    let (unit, t) = (unit(args)?, returns.clone());
    let clock = Clock::of(&t)?;
    if clock.date && unit.fixed_ms().is_some_and(|ms| ms < DAY_MS) {
        return Err("a DATE has no time of day".to_owned());
    }
    // UTC and a unit of fixed length below the week: plain division
    let step = unit.fixed_ms().filter(|ms| *ms <= DAY_MS).map(|ms| ms as i128 * i128::from(clock.per_second) / 1_000);
    let f = move |v: i64| -> Option<i64> {
        let local = clock.local(v)?;
        let floor = match step {
            Some(step) => {
                let step = (step as i64).max(1);
                local.checked_sub(local.rem_euclid(step))?
            }
            None => unit.first_day(local.div_euclid(clock.per_day())).checked_mul(clock.per_day())?,
        };
        if !up || floor == local {
            return clock.instant(floor);
        }
        clock.instant(match step {
            Some(step) => floor.checked_add(step as i64)?,
            None => {
                let day = floor.div_euclid(clock.per_day());
                let next = unit.months().map_or(Some(day + 7), |m| add_months(day, m))?;
                next.checked_mul(clock.per_day())?
            }
        })
    };
    Ok(Arc::new(move |a: &Args<'_>| {
        let array = a.array(1);
        let f = |v| f(v).ok_or_else(|| failed(&t));
        let out = times(counts(array)?.try_unary::<_, Int64Type, Failure>(f)?, &t)?;
        // the unit is constant: a scalar time makes the whole call one row
        Ok(out)
    }))
}

// ---- TIMESTAMPDIFF

/// `(unit, from, to)`, INT.
fn diff_types(args: &[Argument]) -> Result<Typing, String> {
    let (to, _) = named_unit(args, 3)?;
    let (from, _) = named_unit(&args[..2], 2)?;
    Ok(Typing { args: vec![DataType::Utf8, from, to], returns: DataType::Int32 })
}

fn difference(args: &[Argument], _: &DataType) -> Result<Compute, String> {
    let unit = unit(args)?;
    let (l, r) = (Clock::of(&args[1].data_type)?, Clock::of(&args[2].data_type)?);
    // between two instants pass as many hours as pass, whatever clocks show
    let is_instant = |a: &Argument| matches!(a.data_type, DataType::Timestamp(_, Some(_)));
    let elapsed = args[1..].iter().all(is_instant) && unit.fixed_ms().is_some_and(|ms| ms < DAY_MS);
    // else both as local milliseconds: a DATE is its midnight
    let ms = move |clock: Clock, v: i64| -> Option<i64> {
        let at = i128::from(if elapsed { v } else { clock.local(v)? });
        i64::try_from((at * 1_000).div_euclid(i128::from(clock.per_second))).ok()
    };
    Ok(Arc::new(move |a: &Args<'_>| {
        let (from, to) = (Counts::of(a, 1)?, Counts::of(a, 2)?);
        let row = |i: usize| {
            let (Some(from), Some(to)) = (from.get(i), to.get(i)) else { return Ok(None) };
            let units = ms(l, from).zip(ms(r, to)).and_then(|(from, to)| between(unit, from, to));
            let units = units.and_then(|u| i32::try_from(u).ok());
            units.map(Some).ok_or_else(|| Failure::new("the difference does not fit INT"))
        };
        let out: PrimitiveArray<Int32Type> = (0..a.rows()).map(row).collect::<Result<_, Failure>>()?;
        Ok(Arc::new(out) as ArrayRef)
    }))
}

/// Whole units from one local time to another, both in milliseconds.
fn between(unit: Unit, from: i64, to: i64) -> Option<i64> {
    if let Some(ms) = unit.fixed_ms() {
        return Some(to.checked_sub(from)? / ms);
    }
    if to < from {
        return between(unit, to, from).map(|n| -n);
    }
    let (y1, m1, d1) = civil(from.div_euclid(DAY_MS));
    let (y2, m2, d2) = civil(to.div_euclid(DAY_MS));
    let months = (y2 - y1) * 12 + i64::from(m2) - i64::from(m1);
    // a month counts once its day and time of day are reached; a day that the month lacks is its last one
    let reached = (d2, to.rem_euclid(DAY_MS)) >= (d1.min(month_length(y2, m2)), from.rem_euclid(DAY_MS));
    let whole = if reached { months } else { months - 1 };
    Some(whole / unit.months()?)
}

// ---- TIMESTAMPADD and intervals

/// `(unit, count, time)`: a DATE stays one if the unit is made of days, else it becomes TIMESTAMP(3).
fn add_types(args: &[Argument]) -> Result<Typing, String> {
    let (t, name) = named_unit(args, 3)?;
    if !args[1].data_type.is_integer() && args[1].data_type != DataType::Null {
        return Err("the count must be an integer".to_owned());
    }
    let of_day = Unit::parse(&name).and_then(Unit::fixed_ms).is_some_and(|ms| ms < DAY_MS);
    let t = if t == DataType::Date32 && of_day { TIMESTAMP_3 } else { t };
    Ok(Typing { args: vec![DataType::Utf8, DataType::Int64, t.clone()], returns: t })
}

fn add(args: &[Argument], returns: &DataType) -> Result<Compute, String> {
    let (unit, t) = (unit(args)?, returns.clone());
    let clock = Clock::of(&t)?;
    Ok(Arc::new(move |a: &Args<'_>| {
        let (n, time) = (a.values::<Int64Type>(1), Counts::of(a, 2)?);
        let row = |i: usize| {
            let (Some(n), Some(v)) = (n.get(i), time.get(i)) else { return Ok(None) };
            let shifted = match (unit.months(), unit.fixed_ms()) {
                (Some(m), _) => n.checked_mul(m).and_then(|m| shift(clock, v, m, 0, 0)),
                (None, Some(ms)) if ms >= DAY_MS => n.checked_mul(ms / DAY_MS).and_then(|d| shift(clock, v, 0, d, 0)),
                (None, ms) => ms.and_then(|ms| n.checked_mul(ms)).and_then(|ms| shift(clock, v, 0, 0, ms)),
            };
            shifted.map(Some).ok_or_else(|| failed(&t))
        };
        times((0..a.rows()).map(row).collect::<Result<_, Failure>>()?, &t)
    }))
}

/// A time moved by months and days of the calendar (local time) and by milliseconds.
fn shift(clock: Clock, v: i64, months: i64, days: i64, ms: i64) -> Option<i64> {
    let mut v = v;
    if months != 0 || days != 0 {
        let local = clock.local(v)?;
        let (day, rest) = (local.div_euclid(clock.per_day()), local.rem_euclid(clock.per_day()));
        let moved = if months == 0 { day } else { add_months(day, months)? };
        v = clock.instant(moved.checked_add(days)?.checked_mul(clock.per_day())?.checked_add(rest)?)?;
    }
    if ms == 0 {
        return Some(v);
    }
    let ticks = i128::from(ms) * i128::from(clock.per_second) / 1_000;
    let ticks = if clock.date { ticks / 86_400 } else { ticks };
    v.checked_add(i64::try_from(ticks).ok()?)
}

/// The kernel of `time ± interval`: argument 0 is the time, argument 1 the interval.
pub(in crate::expression) fn plus_interval(time: &DataType, negative: bool) -> Result<Compute, String> {
    let (t, clock) = (time.clone(), Clock::of(time)?);
    let utc = matches!(t, DataType::Timestamp(TimeUnit::Millisecond, _));
    let sign = if negative { -1 } else { 1 };
    Ok(Arc::new(move |a: &Args<'_>| {
        let interval = a.values::<IntervalMonthDayNanoType>(1);
        if let Some(i) = interval.constant()
            && i.months == 0
            && (i.days == 0 || (clock.zone.is_utc() && !clock.date))
            && utc
        {
            let ms = sign * (i64::from(i.days) * DAY_MS + i.nanoseconds / 1_000_000);
            let moved = counts(a.array(0))?
                .try_unary::<_, Int64Type, Failure>(|v| v.checked_add(ms).ok_or_else(|| failed(&t)))?;
            return times(moved, &t);
        }
        let time = Counts::of(a, 0)?;
        let row = |row: usize| {
            let (Some(v), Some(i)) = (time.get(row), interval.get(row)) else { return Ok(None) };
            let ms = i.nanoseconds / 1_000_000;
            let moved = shift(clock, v, sign * i64::from(i.months), sign * i64::from(i.days), sign * ms);
            moved.map(Some).ok_or_else(|| failed(&t))
        };
        times((0..a.rows()).map(row).collect::<Result<_, Failure>>()?, &t)
    }))
}

/// The kernel of `timestamp - timestamp`, both of a type with this many units in a second: milliseconds, cut off.
pub(in crate::expression) fn duration(args: &Args<'_>, per_second: i64) -> Result<ArrayRef, Failure> {
    let (l, r) = (Counts::of(args, 0)?, Counts::of(args, 1)?);
    let row = |i: usize| {
        let (Some(l), Some(r)) = (l.get(i), r.get(i)) else { return Ok(None) };
        let ms = (i128::from(l) - i128::from(r)) * 1_000 / i128::from(per_second);
        i64::try_from(ms).map(Some).map_err(|_| Failure::new("the difference does not fit INTERVAL"))
    };
    let out: DurationMillisecondArray = (0..args.rows()).map(row).collect::<Result<_, _>>()?;
    Ok(Arc::new(out))
}

// ---- counts as times

/// `TO_TIMESTAMP_LTZ(count, precision)`: precision 0 counts seconds, 3 milliseconds; TIMESTAMP_LTZ(3) in UTC.
fn ltz_types(args: &[Argument]) -> Result<Typing, String> {
    let typing = signature(args, "i?i", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())))?;
    match args.get(1).map(Argument::integer) {
        Some(Some(p)) if p != 0 && p != 3 => {
            Err(format!("the precision must be 0 (seconds) or 3 (milliseconds), not {p}"))
        }
        _ => Ok(typing),
    }
}

fn to_timestamp_ltz(args: &[Argument], returns: &DataType) -> Result<Compute, String> {
    let seconds = match args.get(1) {
        None => false,
        Some(p) => p.integer().ok_or("the precision must be a constant")? == 0,
    };
    let t = returns.clone();
    Ok(Arc::new(move |a: &Args<'_>| {
        let counts = a.array(0).as_primitive::<Int64Type>();
        if !seconds {
            return times(counts.clone(), &t);
        }
        times(counts.try_unary::<_, Int64Type, Failure>(|v| v.checked_mul(1_000).ok_or_else(|| failed(&t)))?, &t)
    }))
}
