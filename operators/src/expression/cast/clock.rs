//! Casts of TIME, a time of the day: from texts, from and to timestamps, to other digits.
//!
//! To fewer digits: cut off. A TIMESTAMP_LTZ has the time that clocks show in its zone. A TIME as a TIMESTAMP is that time on
//! 1970-01-01, as in Flink.

use super::super::calendar::per_second;
use super::super::kernel::{Args, Compute, Failure};
use super::time::{counts, rescale, tagged};
use super::{parse, zone};
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use std::sync::Arc;

const DAY_S: i64 = 86_400;

/// Between TIME types, and between TIME and TIMESTAMP types.
pub fn bind(from: &DataType, to: &DataType) -> Result<Compute, String> {
    let (from_per, to_per) = (ticks_per_second(from), ticks_per_second(to));
    let (from_zone, to_zone) = (zone(from)?, zone(to)?);
    let (from_is_time, to_is_time) = (is_time(from), is_time(to));
    let name = highwater_engine::graph::types::sql_type(to);
    let to = to.clone();
    Ok(Arc::new(move |a: &Args<'_>| {
        let convert = |v: i64| -> Option<i64> {
            let local = if from_is_time { v } else { from_zone.local(v, from_per)?.rem_euclid(DAY_S * from_per) };
            let scaled = rescale(local, from_per, to_per)?;
            if to_is_time { Some(scaled) } else { to_zone.instant(scaled, to_per) }
        };
        let fail = || Failure::new(format!("a time does not fit {name}"));
        let out = counts(a.array(0))?.try_unary::<_, Int64Type, Failure>(|v| convert(v).ok_or_else(fail))?;
        if to_is_time { times(out, &to) } else { tagged(out, &to) }
    }))
}

/// From a text, `HH:mm[:ss[.fraction]]`.
pub fn from_text(to: &DataType) -> Compute {
    let (to, per) = (to.clone(), ticks_per_second(to));
    let name = highwater_engine::graph::types::sql_type(&to);
    Arc::new(move |a: &Args<'_>| {
        let parse = |s: &str| match parse::time(s) {
            Some(ns) => Ok(ns / (1_000_000_000 / per)),
            None => Err(Failure::new(format!("'{s}' is not a {name}"))),
        };
        let texts = a.array(0).as_string::<i32>();
        times(texts.iter().map(|s| s.map(parse).transpose()).collect::<Result<_, _>>()?, &to)
    })
}

/// Whether it is a TIME type.
pub fn is_time(t: &DataType) -> bool {
    matches!(t, DataType::Time32(_) | DataType::Time64(_))
}

/// The unit of a TIME or TIMESTAMP type.
fn ticks_per_second(t: &DataType) -> i64 {
    match t {
        DataType::Time32(u) | DataType::Time64(u) | DataType::Timestamp(u, _) => per_second(*u),
        _ => 1,
    }
}

/// Counts of a day as an array of a TIME type.
fn times(counts: Int64Array, to: &DataType) -> Result<ArrayRef, Failure> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    match to {
        DataType::Time32(TimeUnit::Second | TimeUnit::Millisecond) => {
            let counts = cast_with_options(&counts, &DataType::Int32, &exact)?;
            Ok(cast_with_options(&counts, to, &exact)?)
        }
        _ => Ok(cast_with_options(&counts, to, &exact)?),
    }
}
