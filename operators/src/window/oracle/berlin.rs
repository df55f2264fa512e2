//! Berlin's clocks in 2024, by hand: an hour ahead of UTC, from 31 March 01:00 UTC to 27 October 01:00 UTC two hours.

use chrono::NaiveDate;
use highwater_engine::graph::{CalendarWindows, Length};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// 2024-03-31 01:00 and 2024-10-27 01:00, UTC.
pub(super) const CHANGES: [i64; 2] = [1_711_846_800_000, 1_729_990_800_000];

/// What the clocks show.
pub(super) fn clock(t: i64) -> i64 {
    t + if CHANGES[0] <= t && t < CHANGES[1] { 2 * HOUR } else { HOUR }
}

/// When they show this or a later time first.
fn first(local: i64) -> i64 {
    let when = [local - 2 * HOUR, local - HOUR, CHANGES[0], CHANGES[1]];
    when.into_iter().filter(|t| clock(*t) >= local).min().unwrap()
}

/// Borders in order from some size before `t` to some size behind it, each with its number; of those that fall together the
/// first.
fn borders(of: &CalendarWindows, length: Length, t: i64) -> Vec<(i64, i64)> {
    let reach = of.size.ms_max() + 3 * DAY;
    let locals: Vec<(i64, i64)> = match length {
        Length::Ms(ms) => {
            let near = (t - of.origin_ms()) / ms;
            (near - reach / ms - 2..near + reach / ms + 2).map(|i| (i, i * ms + of.origin_ms())).collect()
        }
        Length::Months(n) => {
            let month = |i: i64| NaiveDate::from_ymd_opt(1970 + (i / 12) as i32, (i % 12) as u32 + 1, 1).unwrap();
            let start = |i: i64| month(i * n).and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_millis();
            (640 / n..670 / n).map(|i| (i, start(i) + of.origin_ms())).collect()
        }
    };
    let all: Vec<(i64, i64)> = locals.into_iter().map(|(i, local)| (i, first(local))).collect();
    (1..all.len()).filter(|i| all[i - 1].1 != all[*i].1).map(|i| all[i]).collect()
}

/// Windows `(start, end)`: all that may hold `t`, and some more.
pub(super) fn windows_around(of: &CalendarWindows, t: i64) -> Vec<(i64, i64)> {
    let (ends, sizes) = (borders(of, of.step, t), borders(of, of.size, t));
    let window = |(number, end): &(i64, i64)| {
        let start = match of.growing {
            true => sizes.iter().rfind(|s| s.1 < *end),
            false => ends.iter().rfind(|s| s.0 <= number - of.size.count(of.step).unwrap()),
        };
        Some((start?.1, *end)).filter(|w| w.0 < w.1)
    };
    // the first borders have no start before them
    ends.iter().filter(|e| e.1 > t).filter_map(window).collect()
}
