//! Dates, times of day and instants as text: the proleptic Gregorian calendar in integer arithmetic.
//!
//! Everything is UTC. The calendar's formulas are Howard Hinnant's `days_from_civil` and `civil_from_days`.

/// Days from 1970-01-01 to a date. The date must exist: see [`date`].
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let shifted = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// Two ASCII digits at `at`.
#[inline]
fn two(text: &[u8], at: usize) -> Option<u32> {
    let (a, b) = (text.get(at)?.wrapping_sub(b'0'), text.get(at + 1)?.wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| u32::from(a) * 10 + u32::from(b))
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01; `None` if it is anything else or no date of the calendar.
pub fn date(text: &[u8]) -> Option<i64> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = i64::from(two(text, 0)? * 100 + two(text, 2)?);
    let (month, day) = (two(text, 5)?, two(text, 8)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=length).contains(&day).then(|| days_from_civil(year, month, day))
}

/// Reads `HH:MM[:SS[.f…]]`, one to nine digits of fraction, as nanoseconds of the day.
pub fn time_of_day(text: &[u8]) -> Option<i64> {
    let (hour, minute) = (two(text, 0)?, two(text, 3)?);
    if text[2] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    let mut nanos = i64::from(hour * 3600 + minute * 60) * 1_000_000_000;
    if text.len() == 5 {
        return Some(nanos);
    }
    let second = two(text, 6)?;
    if text[5] != b':' || second > 59 {
        return None;
    }
    nanos += i64::from(second) * 1_000_000_000;
    match &text[8..] {
        [] => Some(nanos),
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let mut unit = 1_000_000_000;
            for d in digits {
                let d = d.wrapping_sub(b'0');
                if d > 9 {
                    return None;
                }
                unit /= 10;
                nanos += i64::from(d) * unit;
            }
            Some(nanos)
        }
        _ => None,
    }
}

/// The zone an instant's text named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// None.
    Absent,
    /// `Z` or an offset such as `+02:00`, in minutes east of UTC.
    Offset(i32),
}

/// An instant as text gives it, before its zone is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Days since 1970-01-01.
    pub days: i64,
    /// Nanoseconds of the day, less the zone's offset: may lie outside the day.
    pub nanos: i64,
    /// The zone.
    pub zone: Zone,
}

/// Reads `YYYY-MM-DD[ T]HH:MM[:SS[.f…]]` with an optional `Z` or `±HH:MM`. A date alone is its midnight.
pub fn instant(text: &[u8]) -> Option<Instant> {
    let days = date(text.get(..10)?)?;
    if text.len() == 10 {
        return Some(Instant { days, nanos: 0, zone: Zone::Absent });
    }
    if !matches!(text[10], b' ' | b'T' | b't') {
        return None;
    }
    let (clock, zone) = split_zone(&text[11..])?;
    let shift = if let Zone::Offset(minutes) = zone { i64::from(minutes) * 60_000_000_000 } else { 0 };
    Some(Instant { days, nanos: time_of_day(clock)? - shift, zone })
}

impl Instant {
    /// 10^-`digits` seconds since 1970, rounded down, and the nanoseconds left; `None` beyond 64 bits.
    #[inline]
    pub fn ticks(self, digits: u32) -> Option<(i64, i64)> {
        let unit = NANOS[digits as usize];
        let (whole, rest) = (self.nanos.div_euclid(unit), self.nanos.rem_euclid(unit));
        let midnight = self.days.checked_mul(86_400_000_000_000 / unit)?;
        Some((midnight.checked_add(whole)?, rest))
    }
}

/// Nanoseconds of 10^-k seconds.
const NANOS: [i64; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

fn split_zone(clock: &[u8]) -> Option<(&[u8], Zone)> {
    if let [rest @ .., b'Z' | b'z'] = clock {
        return Some((rest, Zone::Offset(0)));
    }
    let Some(at) = clock.iter().position(|b| matches!(b, b'+' | b'-')) else {
        return Some((clock, Zone::Absent));
    };
    let zone = &clock[at + 1..];
    let minutes = match zone.len() {
        2 => two(zone, 0)? * 60,
        4 => two(zone, 0)? * 60 + two(zone, 2)?,
        5 if zone[2] == b':' => two(zone, 0)? * 60 + two(zone, 3)?,
        _ => return None,
    };
    let minutes = i32::try_from(minutes).ok().filter(|m| *m <= 18 * 60)?;
    Some((&clock[..at], Zone::Offset(if clock[at] == b'-' { -minutes } else { minutes })))
}

/// Writes `YYYY-MM-DD`. Years outside 0 … 9999 are written with their sign and all digits.
pub fn write_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        write_digits(year as u64, 4, out);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        out.extend_from_slice(format!("{:04}", year.unsigned_abs()).as_bytes());
    }
    out.push(b'-');
    write_digits(u64::from(month), 2, out);
    out.push(b'-');
    write_digits(u64::from(day), 2, out);
}

/// Writes `HH:MM:SS`, then a dot and `digits` digits if `digits` > 0. `ticks` counts 10^-`digits` seconds of the day.
pub fn write_time(ticks: i64, digits: u32, out: &mut Vec<u8>) {
    let unit = 10i64.pow(digits);
    let seconds = ticks / unit;
    write_digits((seconds / 3600) as u64, 2, out);
    out.push(b':');
    write_digits((seconds / 60 % 60) as u64, 2, out);
    out.push(b':');
    write_digits((seconds % 60) as u64, 2, out);
    if digits > 0 {
        out.push(b'.');
        write_digits((ticks % unit) as u64, digits as usize, out);
    }
}

/// Writes date, `between` and time of an instant counted in 10^-`digits` seconds since 1970.
pub fn write_instant(ticks: i64, digits: u32, between: u8, out: &mut Vec<u8>) {
    let day = 86_400 * 10i64.pow(digits);
    write_date(ticks.div_euclid(day), out);
    out.push(between);
    write_time(ticks.rem_euclid(day), digits, out);
}

/// The last `width` decimal digits of a number, with leading zeros.
fn write_digits(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + width, b'0');
    for place in out[at..].iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        // `date -u -d … +%s` / 86400
        for (text, days) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("2018-04-01", 17_622),
            ("2026-01-01", 20_454),
            ("1969-12-31", -1),
            ("0001-01-01", -719_162),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(date(text.as_bytes()), Some(days), "{text}");
            let mut out = Vec::new();
            write_date(days, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        for bad in ["2019-02-29", "2018-13-01", "2018-00-01", "2018-1-01", "18-01-01", "2018/01/01", "2018-04-31", ""] {
            assert_eq!(date(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for days in -150_000..150_000 {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }

    #[test]
    fn instants_with_and_without_zone() {
        let ms = |t: &str| instant(t.as_bytes()).map(|i| (i.ticks(3).unwrap().0, i.zone));
        assert_eq!(ms("2018-04-01 00:00:31.000"), Some((1_522_540_831_000, Zone::Absent)));
        assert_eq!(ms("2018-04-01T00:00:31Z"), Some((1_522_540_831_000, Zone::Offset(0))));
        assert_eq!(ms("2018-04-01T02:00:31+02:00"), Some((1_522_540_831_000, Zone::Offset(120))));
        assert_eq!(ms("2018-03-31T22:30:31-0130"), Some((1_522_540_831_000, Zone::Offset(-90))));
        assert_eq!(ms("2018-04-01"), Some((1_522_540_800_000, Zone::Absent)));
        for bad in
            ["2018-04-01 24:00:00", "2018-04-01 1:00:00", "2018-04-01x00:00:00", "2018-04-01 00:00:00.", "ü018-04-01"]
        {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn instants_are_written_with_their_digits() {
        let text = |t, d, c| {
            let mut out = Vec::new();
            write_instant(t, d, c, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(1_522_540_831_000, 3, b' '), "2018-04-01 00:00:31.000");
        assert_eq!(text(1_522_540_831, 0, b'T'), "2018-04-01T00:00:31");
        assert_eq!(text(-1, 3, b' '), "1969-12-31 23:59:59.999");
    }
}
