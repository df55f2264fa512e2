//! Casts between dates and timestamps, and from texts.

use super::super::calendar::{Zone, per_second};
use super::super::kernel::{Args, Compute, Failure};
use super::{parse, zone};
use arrow::array::{ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, DurationMillisecondType, Int64Type, IntervalMonthDayNanoType, TimeUnit};
use std::sync::Arc;

const DAY_S: i64 = 86_400;

/// Counts as an array of a timestamp, date or duration type, without a copy.
pub fn tagged(counts: arrow::array::Int64Array, to: &DataType) -> Result<ArrayRef, Failure> {
    Ok(cast_with_options(&counts, to, &CastOptions { safe: false, ..CastOptions::default() })?)
}

/// The counts of a timestamp, date or time as BIGINT, without a copy for timestamps.
pub fn counts(array: &ArrayRef) -> Result<arrow::array::Int64Array, Failure> {
    let array = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast_with_options(array, &DataType::Int32, &CastOptions::default())?,
        _ => array.clone(),
    };
    Ok(cast_with_options(&array, &DataType::Int64, &CastOptions::default())?.as_primitive::<Int64Type>().clone())
}

/// Between DATE and TIMESTAMP types. To fewer digits: cut off. Between TIMESTAMP and TIMESTAMP_LTZ: by the LTZ's zone.
pub fn bind(from: &DataType, to: &DataType) -> Result<Compute, String> {
    let scale = |t: &DataType| match t {
        DataType::Timestamp(u, _) => per_second(*u),
        _ => 1,
    };
    let (from_per, to_per) = (scale(from), scale(to));
    let (from_zone, to_zone) = (zone(from)?, zone(to)?);
    let from_is_date = matches!(from, DataType::Date32);
    let to_is_date = matches!(to, DataType::Date32);
    // two instants or two local times need no zone
    let same_side = !from_is_date && !to_is_date && is_ltz(from) == is_ltz(to);
    let name = highwater_engine::graph::types::sql_type(to);
    let to = to.clone();
    Ok(Arc::new(move |a: &Args<'_>| {
        let convert = |v: i64| -> Option<i64> {
            let v = if from_is_date { v.checked_mul(DAY_S)? } else { v };
            let local = if same_side { v } else { from_zone.local(v, from_per)? };
            let scaled = rescale(local, from_per, to_per)?;
            let v = if same_side { scaled } else { to_zone.instant(scaled, to_per)? };
            Some(if to_is_date { v.div_euclid(DAY_S) } else { v })
        };
        let fail = || Failure::new(format!("a time does not fit {name}"));
        let out = counts(a.array(0))?.try_unary::<_, Int64Type, Failure>(|v| convert(v).ok_or_else(fail))?;
        if to_is_date {
            let days =
                cast_with_options(&out, &DataType::Int32, &CastOptions { safe: false, ..CastOptions::default() })?;
            return Ok(cast_with_options(&days, &to, &CastOptions::default())?);
        }
        tagged(out, &to)
    }))
}

fn is_ltz(t: &DataType) -> bool {
    matches!(t, DataType::Timestamp(_, Some(_)))
}

/// A count in another unit, cut off; `None` if it is too large.
pub fn rescale(v: i64, from: i64, to: i64) -> Option<i64> {
    if to >= from { v.checked_mul(to / from) } else { Some(v.div_euclid(from / to)) }
}

/// From a text to a DATE or TIMESTAMP.
pub fn from_text(to: &DataType) -> Result<Compute, String> {
    let t = to.clone();
    let name = highwater_engine::graph::types::sql_type(to);
    let fail = move |s: &str| Failure::new(format!("'{s}' is not a {name}"));
    Ok(match to {
        DataType::Timestamp(unit, _) => {
            let (unit, zone) = (*unit, zone(to)?);
            Arc::new(move |a: &Args<'_>| {
                let texts = a.array(0).as_string::<i32>();
                let parse = |s: &str| timestamp(s, unit, zone).ok_or_else(|| fail(s));
                let counts = texts.iter().map(|s| s.map(parse).transpose()).collect::<Result<_, _>>()?;
                tagged(counts, &t)
            })
        }
        _ => Arc::new(move |a: &Args<'_>| {
            super::map_text::<Date32Type>(a, &t, |s| {
                let days = parse::timestamp(s).map(|ns| ns.div_euclid(86_400_000_000_000));
                days.and_then(|d| i32::try_from(d).ok()).ok_or_else(|| fail(s))
            })
        }),
    })
}

/// The count of a written time in a unit, digits beyond it cut off.
pub fn timestamp(s: &str, unit: TimeUnit, zone: Zone) -> Option<i64> {
    let ns = parse::timestamp(s)?;
    let per = per_second(unit);
    let local = i64::try_from(ns.div_euclid(i128::from(1_000_000_000 / per))).ok()?;
    zone.instant(local, per)
}

/// An interval without months as a duration.
pub fn interval_to_duration(to: &DataType) -> Result<Compute, String> {
    if *to != DataType::Duration(TimeUnit::Millisecond) {
        return Err("an interval is counted in milliseconds".to_owned());
    }
    Ok(Arc::new(|a: &Args<'_>| {
        let intervals = a.array(0).as_primitive::<IntervalMonthDayNanoType>();
        let out = intervals.try_unary::<_, DurationMillisecondType, Failure>(|v| {
            if v.months != 0 {
                return Err(Failure::new("an interval of months has no fixed length"));
            }
            Ok(i64::from(v.days) * 86_400_000 + v.nanoseconds / 1_000_000)
        })?;
        Ok(Arc::new(out) as ArrayRef)
    }))
}
