//! Civil dates, time zones and units of time, on plain integers.
//!
//! The calendar is the proleptic Gregorian one; a civil date is a number of days from 1970-01-01. Local time is the time
//! a clock in a zone shows, counted like UTC. A local time that a clock skips moves forward by the length of the gap; one
//! that it shows twice is the earlier instant (both as in Java's `ZonedDateTime`).

use super::kernel::Failure;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Offset, TimeZone};

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Year, month (1-12) and day (1-31).
pub type Civil = (i64, u32, u32);

/// The civil date of a day number.
pub fn civil(days: i64) -> Civil {
    // years begin in March, eras have 400 of them: http://howardhinnant.github.io/date_algorithms.html
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month as u32, (doy - (153 * mp + 2) / 5 + 1) as u32)
}

/// The day number of a civil date, which must exist.
pub fn days((year, month, day): Civil) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let m = i64::from(month);
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// The day number of a date, if it exists.
pub fn checked_days((year, month, day): Civil) -> Option<i64> {
    let exists = (1..=12).contains(&month) && day >= 1 && day <= month_length(year, month);
    exists.then(|| days((year, month, day)))
}

/// Days of a month.
pub fn month_length(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A date some months later; a day that the month lacks becomes its last one.
pub fn add_months(days_: i64, months: i64) -> Option<i64> {
    let (y, m, d) = civil(days_);
    let total = y.checked_mul(12)?.checked_add(i64::from(m) - 1)?.checked_add(months)?;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    (year.abs() < 1_000_000).then(|| days((year, month, d.min(month_length(year, month)))))
}

/// ISO weekday: Monday is 1, Sunday 7.
pub fn iso_weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// ISO week year and week.
pub fn iso_week(day: i64) -> (i64, i64) {
    let thursday = day - iso_weekday(day) + 4;
    let (year, ..) = civil(thursday);
    (year, (thursday - days((year, 1, 1))) / 7 + 1)
}

/// Units that a time can be cut to, or counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unit {
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    /// By its SQL name, in any case, with or without `SQL_TSI_` in front.
    pub fn parse(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        Some(match upper.strip_prefix("SQL_TSI_").unwrap_or(&upper) {
            "MILLISECOND" => Self::Millisecond,
            "SECOND" => Self::Second,
            "MINUTE" => Self::Minute,
            "HOUR" => Self::Hour,
            "DAY" => Self::Day,
            "WEEK" => Self::Week,
            "MONTH" => Self::Month,
            "QUARTER" => Self::Quarter,
            "YEAR" => Self::Year,
            _ => return None,
        })
    }
    /// Its length in milliseconds, if it has a fixed one.
    pub fn fixed_ms(self) -> Option<i64> {
        Some(match self {
            Self::Millisecond => 1,
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Month | Self::Quarter | Self::Year => return None,
        })
    }
    /// Its length in months, if it is made of months.
    pub fn months(self) -> Option<i64> {
        match self {
            Self::Month => Some(1),
            Self::Quarter => Some(3),
            Self::Year => Some(12),
            _ => None,
        }
    }
    /// The first day of the unit's period that contains a day. Weeks begin on Sunday, as in Flink's FLOOR.
    pub fn first_day(self, day: i64) -> i64 {
        let (y, m, _) = civil(day);
        match self {
            Self::Week => day - iso_weekday(day) % 7,
            Self::Month => days((y, m, 1)),
            Self::Quarter => days((y, (m - 1) / 3 * 3 + 1, 1)),
            Self::Year => days((y, 1, 1)),
            _ => day,
        }
    }
}

/// What the clock shows in the zone of a timestamp type; UTC and TIMESTAMP without zone cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Zone(Option<Tz>);

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone(None);

    /// By name or offset: `Europe/Berlin`, `+02:00`, `UTC`.
    pub fn parse(name: &str) -> Result<Self, Failure> {
        if ["UTC", "Z", "+00:00", "GMT", "Etc/UTC"].contains(&name) {
            return Ok(Self::UTC);
        }
        name.parse::<Tz>().map(|z| Self(Some(z))).map_err(|_| Failure::new(format!("unknown time zone {name}")))
    }
    /// Of a timestamp type.
    pub fn of(t: &DataType) -> Result<Self, Failure> {
        match t {
            DataType::Timestamp(_, Some(z)) => Self::parse(z),
            _ => Ok(Self::UTC),
        }
    }
    /// Whether local time is UTC.
    pub fn is_utc(self) -> bool {
        self.0.is_none()
    }
    /// Seconds that local time is ahead of UTC at an instant in seconds; 0 outside the years that zones are known for.
    fn offset_s(self, instant_s: i64) -> i64 {
        let Some(zone) = self.0 else { return 0 };
        let Some(at) = DateTime::from_timestamp(instant_s, 0) else { return 0 };
        i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
    }
    /// Local time of an instant, both in `per_second` units.
    pub fn local(self, instant: i64, per_second: i64) -> Option<i64> {
        match self.0 {
            None => Some(instant),
            Some(_) => instant.checked_add(self.offset_s(instant.div_euclid(per_second)) * per_second),
        }
    }
    /// The first instant, in milliseconds, at which the clock shows a local time or a later one: never decreases with the
    /// local time.
    pub fn first_at(self, local_ms: i64) -> i64 {
        if self.0.is_none() {
            return local_ms;
        }
        let (s, ms) = (local_ms.div_euclid(1_000), local_ms.rem_euclid(1_000));
        let (before, after) = (self.offset_s(s - 86_400), self.offset_s(s + 86_400));
        let (mut skipped, mut shown) = (s - after, s - before);
        if self.offset_s(shown) == before {
            return shown * 1_000 + ms;
        }
        if self.offset_s(skipped) == after {
            return skipped * 1_000 + ms;
        }
        // the clock skips it, between these two instants
        while shown - skipped > 1 {
            let middle = skipped + (shown - skipped) / 2;
            match self.offset_s(middle) == before {
                true => skipped = middle,
                false => shown = middle,
            }
        }
        shown * 1_000
    }
    /// The instant of a local time, both in `per_second` units.
    pub fn instant(self, local: i64, per_second: i64) -> Option<i64> {
        if self.0.is_none() {
            return Some(local);
        }
        let s = local.div_euclid(per_second);
        let before = self.offset_s(s.checked_sub(86_400)?);
        let after = self.offset_s(s.checked_add(86_400)?);
        // the offset before a transition near by, if the clock showed this time before it; else the one after
        let offset =
            if self.offset_s(s - before) == before || self.offset_s(s - after) != after { before } else { after };
        local.checked_sub(offset * per_second)
    }
}

/// Units of a timestamp type in a second.
pub fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, NaiveDate};

    #[test]
    fn civil_dates_agree_with_chrono() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for day in (-1_000_000..1_000_000).step_by(97) {
            let d = epoch + chrono::Duration::days(day);
            assert_eq!(civil(day), (i64::from(d.year()), d.month(), d.day()));
            assert_eq!(days(civil(day)), day);
            assert_eq!(iso_weekday(day), i64::from(d.weekday().number_from_monday()));
            assert_eq!(iso_week(day), (i64::from(d.iso_week().year()), i64::from(d.iso_week().week())));
        }
    }

    #[test]
    fn a_skipped_local_time_moves_forward_and_a_repeated_one_is_the_earlier() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let local = |y, m, d, h: i64, min: i64| days((y, m, d)) * 86_400 + h * 3_600 + min * 60;
        // java.time.ZonedDateTime: 2024-03-31T02:30 is 03:30+02:00, 2024-10-27T02:30 is +02:00
        assert_eq!(berlin.instant(local(2024, 3, 31, 2, 30), 1), Some(local(2024, 3, 31, 1, 30)));
        assert_eq!(berlin.instant(local(2024, 10, 27, 2, 30), 1), Some(local(2024, 10, 27, 0, 30)));
        assert_eq!(berlin.instant(local(2024, 10, 27, 3, 30), 1), Some(local(2024, 10, 27, 2, 30)));
        assert_eq!(berlin.instant(local(2024, 3, 31, 1, 30), 1), Some(local(2024, 3, 31, 0, 30)));
        assert_eq!(berlin.instant(local(2024, 3, 31, 3, 30), 1), Some(local(2024, 3, 31, 1, 30)));
        assert_eq!(berlin.local(local(2024, 7, 1, 12, 0), 1), Some(local(2024, 7, 1, 14, 0)));
    }

    #[test]
    fn the_clock_shows_a_skipped_time_first_where_it_skips_it() {
        let local = |y, m, d, h: i64, min: i64| (days((y, m, d)) * 86_400 + h * 3_600 + min * 60) * 1_000;
        let first = |zone: &str, at| Zone::parse(zone).unwrap().first_at(at);
        // the tz database: Berlin 2024-03-31 01:00 UTC, 2:00 to 3:00; 2024-10-27 01:00 UTC, 3:00 to 2:00
        for minute in [0, 1, 30, 60] {
            assert_eq!(first("Europe/Berlin", local(2024, 3, 31, 2, minute)), local(2024, 3, 31, 1, 0));
        }
        assert_eq!(first("Europe/Berlin", local(2024, 10, 27, 2, 30)), local(2024, 10, 27, 0, 30));
        assert_eq!(first("Europe/Berlin", local(2024, 10, 27, 3, 0)), local(2024, 10, 27, 2, 0));
        // Havana 2024-03-10 05:00 UTC, 0:00 to 1:00; 2024-11-03 05:00 UTC, 1:00 to 0:00
        assert_eq!(first("America/Havana", local(2024, 3, 10, 0, 0)), local(2024, 3, 10, 5, 0));
        assert_eq!(first("America/Havana", local(2024, 11, 3, 0, 0)), local(2024, 11, 3, 4, 0));
        // Apia had no 2011-12-30; St. John's set 2010-11-07 00:01 (02:31 UTC) back to 23:01
        assert_eq!(first("Pacific/Apia", local(2011, 12, 30, 0, 0)), local(2011, 12, 30, 10, 0));
        assert_eq!(first("Pacific/Apia", local(2011, 12, 31, 0, 0)), local(2011, 12, 30, 10, 0));
        assert_eq!(first("America/St_Johns", local(2010, 11, 7, 0, 0)), local(2010, 11, 7, 2, 30));
    }
}
