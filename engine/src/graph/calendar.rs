//! Windows and frames by the calendar and the clocks of a time zone, as plain data. What their borders are is computed where they are
//! used.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A day by the clock.
const DAY_MS: i64 = 86_400_000;
/// A minute.
const MINUTE_MS: i64 = 60_000;
/// Longest length: a century.
const MONTHS_MAX: i64 = 1_200;

/// A length of local time, as clocks and calendars show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Length {
    /// Milliseconds by the clock: a day is 86,400,000, also where clocks are set forward or back in it.
    Ms(i64),
    /// Months of the calendar.
    Months(i64),
}

impl Length {
    /// The most that clocks advance meanwhile.
    pub fn ms_max(self) -> i64 {
        match self {
            Self::Ms(ms) => ms,
            Self::Months(n) => n.saturating_mul(31 * DAY_MS),
        }
    }

    /// A bound for the time that passes meanwhile: clocks are set back by a day at most.
    pub fn elapsed_ms_max(self) -> i64 {
        self.ms_max().saturating_add(DAY_MS)
    }

    /// Whether it is a number of whole weeks.
    pub fn is_weeks(self) -> bool {
        matches!(self, Self::Ms(ms) if ms % (7 * DAY_MS) == 0)
    }

    /// Where periods of it are counted from, in local time: whole weeks from a Monday.
    pub fn origin_ms(self) -> i64 {
        // 1970-01-05 was a Monday
        if self.is_weeks() { 4 * DAY_MS } else { 0 }
    }

    /// How many of the shorter length it is: of one kind, without remainder.
    pub fn count(self, of: Length) -> Option<i64> {
        match (self, of) {
            (Self::Ms(all), Self::Ms(one)) | (Self::Months(all), Self::Months(one)) => {
                (one > 0 && all % one == 0).then(|| all / one)
            }
            _ => None,
        }
    }
}

/// `1 d`, `90 min`, `1 month`.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let units = [(DAY_MS, "d"), (3_600_000, "h"), (MINUTE_MS, "min")];
        match *self {
            Self::Months(1) => f.write_str("1 month"),
            Self::Months(n) => write!(f, "{n} months"),
            Self::Ms(ms) => match units.into_iter().find(|(unit, _)| ms != 0 && ms % unit == 0) {
                Some((unit, name)) => write!(f, "{} {name}", ms / unit),
                None => write!(f, "{ms} ms"),
            },
        }
    }
}

/// Windows whose borders lie where the clocks of a time zone show them, counted from 1970-01-01 00:00 on these clocks; of
/// whole weeks from a Monday. A day is 23 hours where clocks are set forward in it, 25 where they are set back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CalendarWindows {
    /// Distance of window ends.
    pub step: Length,
    /// Length of a window.
    pub size: Length,
    /// Windows begin every `size` and are shown step by step while they grow (CUMULATE); else a window of `size` ends every
    /// `step` (HOP; TUMBLE, if they are equal).
    pub growing: bool,
    /// Shift of the borders, shorter than the size.
    pub offset_ms: i64,
    /// The zone: `Europe/Berlin`, `UTC`.
    pub zone: String,
}

impl CalendarWindows {
    /// What is wrong with the lengths, if anything.
    pub fn check(&self) -> Result<(), String> {
        let Self { step, size, growing, offset_ms, .. } = self;
        for (what, length) in [("step", step), ("size", size)] {
            let right = match *length {
                Length::Ms(ms) => ms > 0 && ms % MINUTE_MS == 0 && ms <= MONTHS_MAX * 31 * DAY_MS,
                Length::Months(n) => (1..=MONTHS_MAX).contains(&n),
            };
            if !right {
                return Err(format!(
                    "a calendar window's {what} is {length}; it must be whole minutes or months, up to a century"
                ));
            }
        }
        let inside = *growing && matches!((step, size), (Length::Ms(ms), Length::Months(_)) if DAY_MS % ms == 0);
        if size.count(*step).is_none() && !inside {
            return Err(match growing {
                true => {
                    format!("windows of {size} can't grow by {step}: steps must fill the size, or a day of its months")
                }
                false => format!("a window's size of {size} is no multiple of its slide of {step}"),
            });
        }
        let least = match *size {
            Length::Ms(ms) => ms,
            Length::Months(n) => n * 28 * DAY_MS,
        };
        if offset_ms.abs() >= least {
            return Err(format!("an offset of {offset_ms} ms is not shorter than the window's size of {size}"));
        }
        Ok(())
    }

    /// Where its borders are counted from, in local time.
    pub fn origin_ms(&self) -> i64 {
        self.offset_ms + self.size.origin_ms()
    }
}

/// The start of the day, week, month or the like that holds an instant, by the clocks of a time zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StartOf {
    /// The period: one of [`StartOf::PERIODS`].
    pub period: Length,
    /// The zone: `Europe/Berlin`, `UTC`.
    pub zone: String,
}

impl StartOf {
    /// The periods and their names.
    pub const PERIODS: [(&str, Length); 5] = [
        ("DAY", Length::Ms(DAY_MS)),
        ("WEEK", Length::Ms(7 * DAY_MS)),
        ("MONTH", Length::Months(1)),
        ("QUARTER", Length::Months(3)),
        ("YEAR", Length::Months(12)),
    ];

    /// What is wrong with the period, if anything.
    pub fn check(&self) -> Result<(), String> {
        match Self::PERIODS.iter().any(|(_, p)| *p == self.period) {
            true => Ok(()),
            false => Err(format!("a frame begins with a day, week, month, quarter or year, not with {}", self.period)),
        }
    }
}

/// `start of day in Europe/Berlin`.
impl fmt::Display for StartOf {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = Self::PERIODS.iter().find(|(_, p)| *p == self.period).map(|(name, _)| name.to_lowercase());
        write!(f, "start of {} in {}", name.unwrap_or_else(|| self.period.to_string()), self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Length::{Months, Ms};

    fn check(step: Length, size: Length, growing: bool, offset_ms: i64) -> Result<(), String> {
        CalendarWindows { step, size, growing, offset_ms, zone: "UTC".into() }.check()
    }

    #[test]
    fn steps_fill_the_size() {
        let hour = 3_600_000;
        for (step, size, growing) in [
            (Ms(DAY_MS), Ms(DAY_MS), false),
            (Ms(DAY_MS), Ms(7 * DAY_MS), false),
            (Months(1), Months(12), false),
            (Ms(hour), Ms(DAY_MS), true),
            (Ms(DAY_MS), Months(1), true),
            (Months(1), Months(3), true),
        ] {
            assert_eq!(check(step, size, growing, 0), Ok(()), "{step} {size}");
        }
        for (step, size, growing) in [
            (Ms(DAY_MS), Months(1), false),
            (Ms(2 * DAY_MS), Months(1), true),
            (Months(1), Ms(31 * DAY_MS), true),
            (Ms(5 * hour), Ms(DAY_MS), true),
            (Ms(1_000), Ms(DAY_MS), true),
            (Ms(0), Ms(0), false),
            (Months(0), Months(0), false),
            (Months(i64::MAX), Months(i64::MAX), false),
            (Months(2), Months(3), false),
        ] {
            assert!(check(step, size, growing, 0).is_err(), "{step} {size}");
        }
        assert!(check(Months(1), Months(1), false, 28 * DAY_MS).is_err());
        assert!(check(Ms(DAY_MS), Ms(DAY_MS), false, -6 * hour).is_ok());
    }
}
