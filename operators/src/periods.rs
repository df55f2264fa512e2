//! Periods of local time: days, weeks, months by the calendar and the clocks of a zone, back to back over all of time.
//!
//! A period begins at the first instant at which the clock shows its local start or a later time. Where clocks are set
//! forward over a start, it begins as they are set; periods that clocks skip as a whole have no instant. Where clocks are
//! set back, a local time that they show twice begins a period the first time. So periods hold every instant once.

use crate::expression::calendar::{Civil, DAY_MS, Zone, civil, days};
use highwater_engine::error::BuildError;
use highwater_engine::graph::{Length, StartOf};

/// Since when clocks of zones are known, and until when they are not the same each year.
const CLOCKS_FROM: Civil = (1_840, 1, 1);
const CLOCKS_TO: Civil = (2_100, 1, 1);
/// Months before 1970.
const MONTHS_TO_1970: i64 = 1970 * 12;

/// Numbered periods of one length.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    length: Length,
    /// Where period 0 begins, in local time: from 1970-01-01 00:00.
    origin_ms: i64,
    zone: Zone,
}

impl Periods {
    /// Periods of a length above zero.
    pub fn new(length: Length, origin_ms: i64, zone: Zone) -> Self {
        Self { length, origin_ms, zone }
    }

    /// The periods of which this is the start.
    pub fn of(start: &StartOf) -> Result<Self, BuildError> {
        Ok(Self::new(start.period, start.period.origin_ms(), zone(&start.zone)?))
    }

    /// How long one lasts at most: as its clock and calendar say, and by how much clocks of the zone were ever set back
    /// within that time. Cost: a look at every day that the zone's clocks are known for.
    pub fn longest_ms(self) -> i64 {
        let length_ms = self.length.ms_max();
        // how far clocks are ahead of UTC, from when on
        let mut ahead: Vec<(i64, i64)> = Vec::new();
        for day in days(CLOCKS_FROM)..days(CLOCKS_TO) {
            let at = day * DAY_MS;
            let by = self.zone.local(at, 1_000).map_or(0, |local| local - at);
            if ahead.last().is_none_or(|(_, last)| *last != by) {
                ahead.push((at, by));
            }
        }
        let back = |i: usize| {
            let near = ahead[i..].iter().skip(1).take_while(|(at, _)| *at <= ahead[i + 1].0 + length_ms + DAY_MS);
            near.map(|(_, by)| ahead[i].1 - by).max().unwrap_or(0)
        };
        let most = (0..ahead.len() - 1).map(back).max().unwrap_or(0);
        length_ms + most.max(0)
    }

    /// The first instant of period `i`, or of the next one that has any.
    pub fn start(self, i: i64) -> i64 {
        let local = match self.length {
            Length::Ms(ms) => i * ms,
            Length::Months(n) => {
                let months = i * n + MONTHS_TO_1970;
                days((months.div_euclid(12), months.rem_euclid(12) as u32 + 1, 1)) * DAY_MS
            }
        };
        self.zone.first_at(local + self.origin_ms)
    }

    /// The period that holds an instant.
    pub fn index(self, instant: i64) -> i64 {
        let local = self.zone.local(instant, 1_000).unwrap_or(instant) - self.origin_ms;
        let mut i = match self.length {
            Length::Ms(ms) => local.div_euclid(ms),
            Length::Months(n) => {
                let (year, month, _) = civil(local.div_euclid(DAY_MS));
                (year * 12 + i64::from(month) - 1 - MONTHS_TO_1970).div_euclid(n)
            }
        };
        // where clocks were set back, they show a time again that belongs to an earlier period
        while self.start(i + 1) <= instant {
            i += 1;
        }
        while self.start(i) > instant {
            i -= 1;
        }
        i
    }

    /// The last start at or before an instant.
    pub fn floor(self, instant: i64) -> i64 {
        self.start(self.index(instant))
    }

    /// The first start after an instant.
    pub fn next(self, instant: i64) -> i64 {
        self.start(self.index(instant) + 1)
    }

    /// The first start at or after an instant.
    pub fn ceil(self, instant: i64) -> i64 {
        self.next(instant.saturating_sub(1))
    }
}

/// A zone by its name.
pub fn zone(name: &str) -> Result<Zone, BuildError> {
    Zone::parse(name).map_err(|f| BuildError::new(f.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDateTime};
    use proptest::prelude::*;

    /// Zones with all that clocks have done: nothing, an hour at night, at midnight, half an hour, a day, a minute past
    /// midnight, whole hours for a month.
    const ZONES: [&str; 11] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Havana",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "+05:30",
    ];
    const MINUTE: i64 = 60_000;
    const WEEK: i64 = 7 * DAY_MS;

    fn of(zone: &str, length: Length, origin_ms: i64) -> Periods {
        Periods::new(length, origin_ms, super::zone(zone).unwrap())
    }

    fn ms(utc: &str) -> i64 {
        NaiveDateTime::parse_from_str(utc, "%Y-%m-%d %H:%M").unwrap().and_utc().timestamp_millis()
    }

    fn utc(ms: i64) -> String {
        DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%d %H:%M").to_string()
    }

    /// Local midnights as Python's `zoneinfo` has them, in UTC.
    #[test]
    fn days_weeks_and_months_of_the_calendar() {
        let day = Length::Ms(DAY_MS);
        for (zone, length, origin, at, start, end) in [
            ("Europe/Berlin", day, 0, "2024-03-31 12:00", "2024-03-30 23:00", "2024-03-31 22:00"),
            ("Europe/Berlin", day, 0, "2024-10-27 22:59", "2024-10-26 22:00", "2024-10-27 23:00"),
            ("America/New_York", day, 0, "2024-03-10 05:00", "2024-03-10 05:00", "2024-03-11 04:00"),
            ("America/New_York", day, 0, "2024-11-04 04:59", "2024-11-03 04:00", "2024-11-04 05:00"),
            ("America/Havana", day, 0, "2024-03-10 05:00", "2024-03-10 05:00", "2024-03-11 04:00"),
            ("America/Havana", day, 0, "2024-11-03 05:30", "2024-11-03 04:00", "2024-11-04 05:00"),
            ("Pacific/Apia", day, 0, "2011-12-30 09:59", "2011-12-29 10:00", "2011-12-30 10:00"),
            ("Pacific/Apia", day, 0, "2011-12-30 10:00", "2011-12-30 10:00", "2011-12-31 10:00"),
            ("America/St_Johns", day, 0, "2010-11-07 03:00", "2010-11-07 02:30", "2010-11-08 03:30"),
            ("Europe/Berlin", Length::Ms(WEEK), 4 * DAY_MS, "2024-03-31 12:00", "2024-03-24 23:00", "2024-03-31 22:00"),
            ("Europe/Berlin", Length::Months(1), 0, "2024-03-31 22:00", "2024-03-31 22:00", "2024-04-30 22:00"),
            ("Europe/Berlin", Length::Months(3), 0, "2024-02-29 00:00", "2023-12-31 23:00", "2024-03-31 22:00"),
            ("America/New_York", Length::Months(12), 0, "1969-12-31 23:59", "1969-01-01 05:00", "1970-01-01 05:00"),
            ("UTC", Length::Months(1), 0, "2024-02-29 23:59", "2024-02-01 00:00", "2024-03-01 00:00"),
        ] {
            let periods = of(zone, length, origin);
            let found = (utc(periods.floor(ms(at))), utc(periods.next(ms(at))));
            assert_eq!(found, (start.to_owned(), end.to_owned()), "{zone} {length} {at}");
        }
    }

    fn lengths() -> impl Strategy<Value = Length> {
        let ms = [5 * MINUTE, 30 * MINUTE, 60 * MINUTE, DAY_MS, WEEK, 3 * DAY_MS];
        prop_oneof![prop::sample::select(ms.to_vec()).prop_map(Length::Ms), (1i64..13).prop_map(Length::Months)]
    }

    /// The tz database: clocks are set back by an hour at most in Berlin and New York, by three in Casey (2010-03-05);
    /// once in Kathmandu, by 11 min 16 s, when it left local mean time.
    #[test]
    fn the_longest_period_knows_how_far_clocks_were_set_back() {
        let hour = 60 * MINUTE;
        for (zone, length, longest) in [
            ("UTC", Length::Ms(DAY_MS), DAY_MS),
            ("+05:30", Length::Ms(WEEK), WEEK),
            ("Europe/Berlin", Length::Ms(DAY_MS), 25 * hour),
            ("America/New_York", Length::Ms(WEEK), WEEK + hour),
            ("Europe/Berlin", Length::Months(1), 31 * DAY_MS + hour),
            ("Antarctica/Casey", Length::Ms(DAY_MS), 27 * hour),
            ("Asia/Kathmandu", Length::Ms(DAY_MS), DAY_MS + 11 * MINUTE + 16_000),
        ] {
            assert_eq!(of(zone, length, 0).longest_ms(), longest, "{zone} {length}");
        }
    }

    proptest! {
        /// Minute by minute: a period ends where the clock shows the next local start, or a later time, first.
        #[test]
        fn periods_agree_with_a_walk_over_the_clock(
            zone in prop::sample::select(ZONES.to_vec()),
            ms in prop::sample::select(vec![5 * MINUTE, 30 * MINUTE, 60 * MINUTE, DAY_MS]),
            year in 1996i64..2030, day in 0i64..366, shift in -6i64..7,
        ) {
            let origin = shift * 60 * MINUTE;
            let periods = of(zone, Length::Ms(ms), origin);
            let clock = super::zone(zone).unwrap();
            let from = days((year, 1, 1)) * DAY_MS + day * DAY_MS;
            // the latest time shown so far; before the walk two days of clocks that may have been set back
            let mut latest = i64::MIN / 2;
            for minute in -2 * 1_440..2 * 1_440 {
                let at = from + minute * MINUTE;
                let shown = clock.local(at, 1_000).unwrap();
                let begins = (shown - origin).div_euclid(ms) > (latest - origin).div_euclid(ms);
                if minute >= 0 {
                    prop_assert_eq!(periods.floor(at) == at, begins, "{} {}", zone, utc(at));
                }
                latest = latest.max(shown);
            }
        }

        #[test]
        fn periods_hold_every_instant_once(
            zone in prop::sample::select(ZONES.to_vec()), length in lengths(),
            at in -4_000_000_000_000i64..4_000_000_000_000, origin in -DAY_MS..DAY_MS,
        ) {
            let periods = of(zone, length, origin);
            let (start, end) = (periods.floor(at), periods.next(at));
            prop_assert!(start <= at && at < end);
            prop_assert_eq!((periods.floor(start), periods.floor(end - 1), periods.floor(end)), (start, start, end));
            prop_assert_eq!((periods.ceil(start), periods.ceil(start + 1)), (start, end));
            prop_assert!(end - start <= length.elapsed_ms_max());
            prop_assert!(end - start <= periods.longest_ms());
        }
    }
}
