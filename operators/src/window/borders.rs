//! Window arithmetic: which windows hold a row, and which of them still accept it.
//!
//! Windows of HOP start at `offset + k·slide` and are `size` long; TUMBLE is slide = size. Windows of CUMULATE start at
//! `offset + k·size` and end after one step, two steps, … `size`. So window ends lie one slide (or step) apart, and the
//! window that ends at an instant is known.
//!
//! Rows that the same windows hold and accept form a *slice*, named by two instants: the end of the first window it enters
//! and the start of the last window that holds it. A late row may be refused by its first windows and accepted by later
//! ones: it lies in a slice that enters later. Window borders are the only instants at which slices change, so slices are
//! found per run of rows.
//!
//! Even windows are found by division; those of a [`Calendar`] by the clocks of a time zone.

use super::calendar::Calendar;
use crate::expression::calendar::Zone;
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::WindowKind;

/// Longest size, slide and gap: room for the arithmetic at both ends of time.
pub const WINDOW_MS_MAX: i64 = i64::MAX / 16;
/// Event times beyond this have no window.
const TIME_MS_MAX: i64 = i64::MAX / 2;

/// The borders of a window function.
#[derive(Clone, Copy, Debug)]
pub enum Borders {
    /// All distances are equal.
    Even(Even),
    /// By the calendar.
    Calendar(Calendar),
}

/// Borders at equal distances.
#[derive(Clone, Copy, Debug)]
pub struct Even {
    /// Distance of window ends.
    slide: i64,
    /// Length of the longest window.
    size: i64,
    /// Distance of window starts.
    starts: i64,
    offset: i64,
}

/// A window `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Start.
    pub start: i64,
    /// End, exclusive.
    pub end: i64,
}

/// A set of rows that the same windows hold: ordered as they enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceId {
    /// End of the first window that accepts the rows.
    pub enter: i64,
    /// Start of the last window that holds the rows.
    pub last: i64,
}

/// A run of event times that fall into one slice if they are on time, `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First event time.
    pub from: i64,
    /// The instant after the last event time.
    pub until: i64,
    /// The slice.
    pub slice: SliceId,
}

impl Borders {
    /// The borders of `kind`; an error names what is not a window.
    pub fn new(kind: &WindowKind) -> Result<Self, BuildError> {
        match kind {
            WindowKind::Calendar(of) => Calendar::new(of).map(Self::Calendar),
            kind => Even::new(kind).map(Self::Even),
        }
    }

    /// In which zone `window_start` and `window_end` are shown.
    pub fn zone(&self) -> Zone {
        match self {
            Self::Even(_) => Zone::UTC,
            Self::Calendar(c) => c.zone,
        }
    }

    /// Whether no row lies in two windows.
    pub fn disjoint(&self) -> bool {
        match self {
            Self::Even(e) => e.slide >= e.size,
            Self::Calendar(c) => c.disjoint(),
        }
    }

    /// End of the first window that ends after `t`.
    pub fn first_end_after(&self, t: i64) -> i64 {
        match self {
            Self::Even(e) => e.first_end_after(t),
            Self::Calendar(c) => c.first_end_after(t),
        }
    }

    /// End of the last window that ends at or before `t`.
    pub fn last_end(&self, t: i64) -> i64 {
        match self {
            Self::Even(e) => e.first_end_after(t) - e.slide,
            Self::Calendar(c) => c.last_end(t),
        }
    }

    /// End of the longest window that begins at `start`.
    fn end_of(&self, start: i64) -> i64 {
        match self {
            Self::Even(e) => start + e.size,
            Self::Calendar(c) => c.end_of(start),
        }
    }

    /// The window that ends at `end`.
    pub fn ending_at(&self, end: i64) -> Bounds {
        match self {
            Self::Even(e) => e.ending_at(end),
            Self::Calendar(c) => c.ending_at(end),
        }
    }

    /// The last instant of which every window that begins at it has ended once this one has.
    pub fn done_with(&self, window: Bounds) -> i64 {
        if self.end_of(window.start) <= window.end { window.start } else { window.start - 1 }
    }

    /// The windows that hold the rows of a slice and accept them, from the first that ends.
    pub fn windows(&self, slice: SliceId) -> impl Iterator<Item = Bounds> + use<> {
        let (borders, last) = (*self, self.end_of(slice.last));
        let next = move |end: &i64| Some(borders.first_end_after(*end)).filter(|end| *end <= last);
        let first = Some(slice.enter).filter(|end| *end <= last);
        std::iter::successors(first, next).map(move |end| borders.ending_at(end))
    }

    /// The span of event times around `t`.
    pub fn span(&self, t: i64) -> Result<Span, OperatorError> {
        room_around(t)?;
        Ok(match self {
            Self::Even(e) => e.span(t),
            Self::Calendar(c) => c.span(t),
        })
    }

    /// Whether any window holds the rows of a span: not in the gaps of a slide longer than the size.
    pub fn holds(&self, slice: SliceId) -> bool {
        match self {
            Self::Even(e) => slice.enter <= slice.last + e.size,
            Self::Calendar(_) => true,
        }
    }

    /// The slice of a row of `slice` that is late by `tag`: windows that end at or before the tag refuse it. `None` if
    /// all do.
    pub fn late(&self, slice: SliceId, tag: i64) -> Option<SliceId> {
        let end = self.end_of(slice.last);
        if tag >= end {
            return None;
        }
        let accepted = SliceId { enter: slice.enter.max(self.first_end_after(tag)), ..slice };
        (accepted.enter <= end).then_some(accepted)
    }
}

impl Even {
    fn new(kind: &WindowKind) -> Result<Self, BuildError> {
        let (slide, size, starts, offset) = match *kind {
            WindowKind::Tumble { size_ms, offset_ms } => (size_ms, size_ms, size_ms, offset_ms),
            WindowKind::Hop { slide_ms, size_ms, offset_ms } => (slide_ms, size_ms, slide_ms, offset_ms),
            WindowKind::Cumulate { step_ms, size_ms, offset_ms } => (step_ms, size_ms, size_ms, offset_ms),
            WindowKind::Session { .. } => return Err(BuildError::new("the borders of sessions depend on their rows")),
            WindowKind::Calendar(_) => return Err(BuildError::new("the borders of calendar windows are not even")),
        };
        for (what, ms) in [("size", size), ("slide", slide)] {
            if ms <= 0 {
                return Err(BuildError::new(format!("a window's {what} must be positive, not {ms} ms")));
            }
            if ms > WINDOW_MS_MAX {
                return Err(BuildError::new(format!("a window's {what} of {ms} ms is beyond {WINDOW_MS_MAX} ms")));
            }
        }
        if starts % slide != 0 {
            return Err(BuildError::new(format!(
                "a window's size of {size} ms is no multiple of its step of {slide} ms"
            )));
        }
        Ok(Self { slide, size, starts, offset: offset.rem_euclid(starts) })
    }

    /// Start of the last window that starts at or before `t`.
    fn last_start(&self, t: i64) -> i64 {
        (t - self.offset).div_euclid(self.starts) * self.starts + self.offset
    }

    fn first_end_after(&self, t: i64) -> i64 {
        let shift = self.offset + self.size;
        (t - shift).div_euclid(self.slide) * self.slide + self.slide + shift
    }

    fn ending_at(&self, end: i64) -> Bounds {
        let start = if self.starts == self.slide { end - self.size } else { self.last_start(end - 1) };
        Bounds { start, end }
    }

    fn span(&self, t: i64) -> Span {
        let slice = SliceId { enter: self.first_end_after(t), last: self.last_start(t) };
        let from = slice.last.max(slice.enter - self.slide);
        let until = (slice.last + self.starts).min(slice.enter);
        Span { from, until, slice }
    }
}

/// Whether windows around `t` have borders that are times.
pub fn room_around(t: i64) -> Result<(), OperatorError> {
    match (-TIME_MS_MAX..=TIME_MS_MAX).contains(&t) {
        true => Ok(()),
        false => Err(OperatorError::new(format!(
            "event time {t} ms leaves no room for a window; bound it with scan.event-time.min and .max"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::calendar::{DAY_MS, civil};
    use highwater_engine::graph::{CalendarWindows, Length};
    use proptest::prelude::*;

    fn hop(slide_ms: i64, size_ms: i64, offset_ms: i64) -> Borders {
        Borders::new(&WindowKind::Hop { slide_ms, size_ms, offset_ms }).unwrap()
    }

    fn calendar(step: Length, size: Length, growing: bool, offset_ms: i64, zone: &str) -> WindowKind {
        WindowKind::Calendar(CalendarWindows { step, size, growing, offset_ms, zone: zone.into() })
    }

    fn cumulate(step_ms: i64, steps: i64, offset_ms: i64) -> Borders {
        Borders::new(&WindowKind::Cumulate { step_ms, size_ms: step_ms * steps, offset_ms }).unwrap()
    }

    /// The windows of a calendar that hold `t` and end after `tag`, by walking over all its minutes: windows end where the
    /// step's number changes, and begin where the size's did, or some steps before.
    fn naive_calendar(of: &CalendarWindows, t: i64, tag: i64) -> Vec<Bounds> {
        let zone = Zone::parse(&of.zone).unwrap();
        let number = |length: Length, shown: i64| match length {
            Length::Ms(ms) => (shown - of.origin_ms()).div_euclid(ms),
            Length::Months(n) => {
                let (year, month, _) = civil((shown - of.origin_ms()).div_euclid(DAY_MS));
                (year * 12 + i64::from(month) - 1 - 1970 * 12).div_euclid(n)
            }
        };
        let around = of.size.elapsed_ms_max() + 3 * DAY_MS;
        let first = (t - around).div_euclid(60_000) * 60_000;
        // (instant, numbers of the first and the last step that begin there), and where sizes begin; the first two days only
        // show the clock
        let (mut steps, mut sizes, mut latest) = (vec![], vec![], i64::MIN / 2);
        for at in (first..t + around).step_by(60_000) {
            let shown = zone.local(at, 1_000).unwrap();
            if at >= first + 2 * DAY_MS && number(of.step, shown) > number(of.step, latest) {
                steps.push((at, number(of.step, latest) + 1, number(of.step, shown)));
            }
            if at >= first + 2 * DAY_MS && number(of.size, shown) > number(of.size, latest) {
                sizes.push(at);
            }
            latest = latest.max(shown);
        }
        let back = of.size.count(of.step).unwrap_or_default();
        let start = |(end, number, _): (i64, i64, i64)| match of.growing {
            true => sizes.iter().copied().rfind(|s| *s < end),
            false => steps.iter().find(|(.., last)| *last >= number - back).map(|(at, ..)| *at),
        };
        let all = steps.iter().filter_map(|s| Some(Bounds { start: start(*s)?, end: s.0 }));
        all.filter(|w| w.start <= t && t < w.end && w.end > tag).collect()
    }

    /// The windows that hold `t` and end after `tag`, by trying all; ends ascend.
    fn naive(b: &Borders, t: i64, tag: i64) -> Vec<Bounds> {
        let Borders::Even(b) = b else { unreachable!("the borders are even") };
        let starts = (-2_000..2_000).map(|k| k * b.starts + b.offset);
        let lengths = if b.starts == b.slide { b.size..=b.size } else { b.slide..=b.size };
        let windows = starts.flat_map(|s| lengths.clone().step_by(b.slide as usize).map(move |l| (s, s + l)));
        let taken = windows.filter(|(s, e)| *s <= t && t < *e && *e > tag);
        taken.map(|(start, end)| Bounds { start, end }).collect()
    }

    #[test]
    fn times_without_room_are_errors_and_the_rest_never_overflows() {
        let b = hop(WINDOW_MS_MAX, WINDOW_MS_MAX, -1);
        for t in [i64::MIN, i64::MIN + 1, i64::MAX, TIME_MS_MAX + 1] {
            assert!(b.span(t).is_err(), "{t}");
        }
        for t in [-TIME_MS_MAX, 0, TIME_MS_MAX] {
            let s = b.span(t).unwrap();
            assert!(s.from <= t && t < s.until);
        }
        assert_eq!(b.late(b.span(0).unwrap().slice, i64::MAX), None);
    }

    #[test]
    fn zero_and_negative_windows_are_refused() {
        for kind in [
            WindowKind::Tumble { size_ms: 0, offset_ms: 0 },
            WindowKind::Hop { slide_ms: -1, size_ms: 5, offset_ms: 0 },
            WindowKind::Hop { slide_ms: 1, size_ms: i64::MAX, offset_ms: 0 },
            WindowKind::Cumulate { step_ms: 0, size_ms: 10, offset_ms: 0 },
            WindowKind::Cumulate { step_ms: 3, size_ms: 10, offset_ms: 0 },
            WindowKind::Cumulate { step_ms: 10, size_ms: 3, offset_ms: 0 },
            calendar(Length::Ms(DAY_MS), Length::Months(1), false, 0, "UTC"),
            calendar(Length::Months(1), Length::Months(1), false, 0, "Europe/Berlim"),
        ] {
            assert!(Borders::new(&kind).is_err(), "{kind:?}");
        }
    }

    fn slices_name_windows(b: Borders, t: i64, tag: i64) -> Result<(), TestCaseError> {
        let span = b.span(t).unwrap();
        prop_assert!(span.from <= t && t < span.until);
        let all = naive(&b, t, i64::MIN);
        prop_assert_eq!(b.holds(span.slice), !all.is_empty());
        for near in [span.from, span.until - 1] {
            prop_assert_eq!(naive(&b, near, i64::MIN), all.clone());
        }
        prop_assert_eq!(b.windows(span.slice).collect::<Vec<_>>(), all.clone());
        if b.holds(span.slice) {
            prop_assert_eq!(Some(span.slice.last), all.last().map(|w| w.start));
            let accepted = b.late(span.slice, tag).map(|s| b.windows(s).collect::<Vec<_>>());
            prop_assert_eq!(accepted.unwrap_or_default(), naive(&b, t, tag));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_slice_of_hop_names_exactly_the_windows_that_hold_and_accept(
            slide in 1i64..20, size in 1i64..40, offset in -30i64..30, t in -200i64..200, lag in 0i64..60,
        ) {
            slices_name_windows(hop(slide, size, offset), t, t + 1 + lag)?;
        }
        #[test]
        fn a_slice_of_cumulate_names_exactly_the_windows_that_hold_and_accept(
            step in 1i64..20, steps in 1i64..8, offset in -30i64..30, t in -200i64..200, lag in 0i64..60,
        ) {
            slices_name_windows(cumulate(step, steps, offset), t, t + 1 + lag)?;
        }

        /// Around the days on which clocks are set.
        #[test]
        fn a_slice_of_the_calendar_names_exactly_the_windows_that_hold_and_accept(
            (step, size, growing) in prop::sample::select(CALENDARS.to_vec()),
            (zone, around) in prop::sample::select(CHANGES.to_vec()),
            minutes in -4_000i64..4_000, ms in 0i64..60_000, lag in 0i64..60 * DAY_MS, shift in -3i64..4,
        ) {
            let offset_ms = shift * 15 * 60_000;
            let of = CalendarWindows { step, size, growing, offset_ms, zone: zone.into() };
            let borders = Borders::new(&WindowKind::Calendar(of.clone())).unwrap();
            let t = around + minutes * 60_000 + ms;
            let span = borders.span(t).unwrap();
            prop_assert!(span.from <= t && t < span.until);
            let all = naive_calendar(&of, t, i64::MIN);
            prop_assert_eq!(borders.windows(span.slice).collect::<Vec<_>>(), all.clone());
            for near in [span.from, span.until - 1] {
                prop_assert_eq!(borders.span(near).unwrap(), span);
            }
            let tag = t + 1 + lag;
            let accepted = borders.late(span.slice, tag).map(|s| borders.windows(s).collect::<Vec<_>>());
            prop_assert_eq!(accepted.unwrap_or_default(), naive_calendar(&of, t, tag));
            for w in all {
                let ended = borders.done_with(w);
                // of the rows of the two slices around it, no window is to come, and one is
                let (before, behind) = (borders.span(ended).unwrap(), borders.span(ended.max(w.end)).unwrap());
                prop_assert!(before.slice.last > ended || borders.end_of(before.slice.last) <= w.end);
                prop_assert!(behind.slice.last <= ended || borders.end_of(behind.slice.last) > w.end);
            }
        }
    }

    const HOUR: i64 = 3_600_000;
    /// Steps, sizes, whether windows grow.
    const CALENDARS: [(Length, Length, bool); 8] = [
        (Length::Ms(DAY_MS), Length::Ms(DAY_MS), false),
        (Length::Ms(HOUR), Length::Ms(HOUR), false),
        (Length::Ms(HOUR / 2), Length::Ms(3 * HOUR), false),
        (Length::Ms(DAY_MS), Length::Ms(7 * DAY_MS), false),
        (Length::Ms(HOUR), Length::Ms(DAY_MS), true),
        (Length::Ms(DAY_MS), Length::Ms(7 * DAY_MS), true),
        (Length::Months(1), Length::Months(1), false),
        (Length::Ms(DAY_MS), Length::Months(1), true),
    ];
    /// When clocks were set in these zones.
    const CHANGES: [(&str, i64); 8] = [
        ("Europe/Berlin", 1_711_846_800_000),
        ("Europe/Berlin", 1_729_990_800_000),
        ("America/New_York", 1_710_054_000_000),
        ("America/New_York", 1_730_613_600_000),
        ("America/Havana", 1_710_046_800_000),
        ("America/Havana", 1_730_610_000_000),
        ("Australia/Lord_Howe", 1_712_415_600_000),
        ("Pacific/Apia", 1_325_239_200_000),
    ];
}
