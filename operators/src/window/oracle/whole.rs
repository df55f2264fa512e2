//! The naive model of aggregates that need all values at once, or two columns: from sorted lists and plain sums.

use super::model::{AMOUNT, BIG, CODE, DAY, ID, NAME, OK, RATIO, Row, Val, input};
use crate::aggregate::distinct;
use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, i256};
use highwater_engine::graph::AggregateFunction::{self, *};
use highwater_engine::graph::{Aggregate, types};
use highwater_engine::hash::hash_columns;
use std::cmp::Reverse;
use std::sync::Arc;

pub(super) fn aggregates() -> Vec<Aggregate> {
    let schema = input();
    let mut all = vec![];
    let mut add = |function, argument: usize, by: Option<usize>, filter| {
        let of = |c: usize| schema.field(c).data_type();
        let returns = types::aggregate_type(function, Some(of(argument)), by.map(of)).unwrap();
        let (separator, label) = ("; ".to_owned(), format!("{function:?}({argument}, {by:?})"));
        all.push(Aggregate {
            function,
            argument: Some(argument),
            by,
            separator,
            distinct: false,
            filter,
            returns,
            label,
        });
    };
    for (i, c) in [CODE, AMOUNT, BIG, RATIO, ID].into_iter().enumerate() {
        for millionths in [[0, 500_000], [123_456, 750_000], [500_000, 1_000_000], [950_000, 333_333], [1, 900_000]][i]
        {
            add(PercentileCont { millionths }, c, None, (millionths > 800_000).then_some(OK));
            add(ApproxPercentile { millionths }, c, None, (millionths > 600_000).then_some(OK));
        }
    }
    for (c, filter) in [(ID, None), (AMOUNT, None), (AMOUNT, Some(OK)), (DAY, None)] {
        add(ApproxCountDistinct, c, None, filter);
    }
    for function in [CovarPop, CovarSamp, Corr] {
        for (x, y, filter) in
            [(CODE, AMOUNT, None), (AMOUNT, AMOUNT, Some(OK)), (RATIO, CODE, None), (CODE, RATIO, Some(OK))]
        {
            add(function, x, Some(y), filter);
        }
    }
    for (descending, nulls_first, by) in
        [(false, true, None), (true, false, Some(AMOUNT)), (true, true, Some(CODE)), (false, false, Some(NAME))]
    {
        add(ListAgg { descending, nulls_first }, NAME, by, (by == Some(CODE)).then_some(OK));
    }
    all
}

/// The value of one of [`aggregates`].
pub(super) fn naive(a: &Aggregate, rows: &[&Row], places: bool) -> Option<Val> {
    let argument = a.argument?;
    let rows = rows.iter().filter(|r| a.filter.is_none_or(|f| r.cells[f] == Val::Int(1)));
    let rows: Vec<&Row> = rows.filter(|r| r.cells[argument] != Val::Null).copied().collect();
    let mut values: Vec<i128> = rows.iter().filter_map(|r| int(&r.cells[argument])).collect();
    values.sort_unstable();
    let double = *input().field(argument).data_type() == DataType::Float64;
    Some(match a.function {
        PercentileCont { .. } | ApproxPercentile { .. } if values.is_empty() => Val::Null,
        PercentileCont { millionths } => {
            let at = (values.len() as i128 - 1) * i128::from(millionths);
            let (low, rest) = ((at / 1_000_000) as usize, at % 1_000_000);
            let (l, h) = (values[low], values[(low + 1).min(values.len() - 1)]);
            if double {
                let (l, h) = (l as f64 / 1024.0, h as f64 / 1024.0);
                return Some(Val::Text((l + (h - l) * (rest as f64 / 1e6)).to_string()));
            }
            let scale = match input().field(argument).data_type() {
                DataType::Decimal128(_, s) => *s as u32,
                _ => 0,
            };
            let [l, h, rest, up] = [l, h, rest, 10i128.pow(6 - scale)].map(i256::from_i128);
            let one = i256::from_i128(1_000_000);
            let top = (l * (one - rest) + h * rest) * up;
            // to the nearest, ties away from zero
            let sign = if top < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
            let two = i256::from_i128(2);
            Val::Int((sign * ((top * sign * two + one) / (one * two))).to_i128().unwrap())
        }
        ApproxPercentile { millionths } => {
            let rank = (values.len() as i128 * i128::from(millionths) + 999_999) / 1_000_000;
            let v = values[(rank.max(1) - 1) as usize];
            if double {
                let m = (v as f64 / 1024.0).abs();
                let mut part = 1.0 / 1024.0 / 1024.0 / 128.0;
                while m / part >= 256.0 {
                    part *= 2.0;
                }
                let middle = if v == 0 { 0.0 } else { (m / part).floor() * part + part / 2.0 };
                return Some(Val::Text((if v < 0 { -middle } else { middle }).to_string()));
            }
            let (m, mut part) = (v.abs(), 1);
            while m / part >= 256 {
                part *= 2;
            }
            Val::Int(v.signum() * (m / part * part + part / 2))
        }
        ApproxCountDistinct => {
            let mut registers = vec![0; 4096];
            for v in values {
                let column: ArrayRef = match input().field(argument).data_type() {
                    DataType::Int64 => Arc::new(Int64Array::from(vec![v as i64])),
                    t => crate::aggregate::column_of_i128(vec![v], None, t),
                };
                let code = distinct::code(hash_columns(&[column], 1)[0]);
                let held = &mut registers[(code / 64) as usize];
                *held = code.max(*held);
            }
            Val::Int(distinct::estimate(registers.into_iter().filter(|c| *c > 0)).into())
        }
        f if f.pairs() => naive_pair(f, argument, a.by?, &rows),
        ListAgg { descending, nulls_first } => naive_list(a, rows, places, descending, nulls_first),
        _ => return None,
    })
}

fn int(v: &Val) -> Option<i128> {
    if let Val::Int(i) = v { Some(*i) } else { None }
}

/// Numbers of one scale; DOUBLE is in 1024ths, beside an INT too.
fn naive_pair(function: AggregateFunction, x: usize, y: usize, rows: &[&Row]) -> Val {
    let unit = |c: usize| match (c, x == RATIO || y == RATIO) {
        (CODE, false) => 100,
        _ => 1,
    };
    let value = |r: &Row, c: usize| int(&r.cells[c]).map(|v| v * unit(c));
    let pairs: Vec<(i128, i128)> = rows.iter().filter_map(|r| Some((value(r, x)?, value(r, y)?))).collect();
    let n = pairs.len() as i128;
    let sum = |f: fn(&(i128, i128)) -> i128| pairs.iter().map(f).sum::<i128>();
    let (sx, sy) = (sum(|p| p.0), sum(|p| p.1));
    let (both, of_x, of_y) =
        (n * sum(|p| p.0 * p.1) - sx * sy, n * sum(|p| p.0 * p.0) - sx * sx, n * sum(|p| p.1 * p.1) - sy * sy);
    let below = n * if function == CovarSamp { n - 1 } else { n };
    let doubles = x == RATIO || y == RATIO;
    let per = |c: usize| if c == RATIO { 1024.0 } else { 1.0 };
    match function {
        _ if n < if function == CovarSamp { 2 } else { 1 } => Val::Null,
        Corr if of_x == 0 || of_y == 0 => Val::Null,
        Corr => {
            let [both, of_x, of_y] = [(both, per(x) * per(y)), (of_x, per(x) * per(x)), (of_y, per(y) * per(y))]
                .map(|(v, unit)| v as f64 / unit);
            Val::Text((both / (of_x * of_y).sqrt()).clamp(-1.0, 1.0).to_string())
        }
        _ if doubles => Val::Text((both as f64 / (per(x) * per(y)) / below as f64).to_string()),
        // of two scales of 2 a product has 4
        _ => Val::Int(both.signum() * ((2 * both.abs() * 100 + below) / (2 * below))),
    }
}

fn naive_list(a: &Aggregate, mut rows: Vec<&Row>, places: bool, descending: bool, nulls_first: bool) -> Val {
    rows.sort_by_key(|r| (r.time, if places { (r.place, vec![]) } else { ((0, 0), r.cells.clone()) }));
    if let Some(by) = a.by {
        // a stable sort: by what is ordered first, then as before
        rows.sort_by_key(|r| if descending { Err(Reverse(r.cells[by].clone())) } else { Ok(r.cells[by].clone()) });
        rows.sort_by_key(|r| (r.cells[by] == Val::Null) != nulls_first);
    }
    let texts: Vec<String> = rows
        .iter()
        .map(|r| if let Val::Text(s) = &r.cells[a.argument.unwrap_or_default()] { s.clone() } else { unreachable!() })
        .collect();
    if texts.is_empty() { Val::Null } else { Val::Text(texts.join(&a.separator)) }
}
