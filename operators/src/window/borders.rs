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

use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::WindowKind;

/// Longest size, slide and gap: room for the arithmetic at both ends of time.
pub const WINDOW_MS_MAX: i64 = i64::MAX / 16;
/// Event times beyond this have no window.
const TIME_MS_MAX: i64 = i64::MAX / 2;

/// The borders of a window function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borders {
    /// Distance of window ends.
    pub slide: i64,
    /// Length of the longest window.
    pub size: i64,
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
        let (slide, size, starts, offset) = match *kind {
            WindowKind::Tumble { size_ms, offset_ms } => (size_ms, size_ms, size_ms, offset_ms),
            WindowKind::Hop { slide_ms, size_ms, offset_ms } => (slide_ms, size_ms, slide_ms, offset_ms),
            WindowKind::Cumulate { step_ms, size_ms, offset_ms } => (step_ms, size_ms, size_ms, offset_ms),
            WindowKind::Session { .. } => return Err(BuildError::new("the borders of sessions depend on their rows")),
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

    /// Whether no row lies in two windows.
    pub fn disjoint(&self) -> bool {
        self.slide >= self.size
    }

    /// Start of the last window that starts at or before `t`.
    pub fn last_start(&self, t: i64) -> i64 {
        (t - self.offset).div_euclid(self.starts) * self.starts + self.offset
    }

    /// End of the first window that ends after `t`.
    pub fn first_end_after(&self, t: i64) -> i64 {
        let shift = self.offset + self.size;
        (t - shift).div_euclid(self.slide) * self.slide + self.slide + shift
    }

    /// The window that ends at `end`.
    pub fn ending_at(&self, end: i64) -> Bounds {
        let start = if self.starts == self.slide { end - self.size } else { self.last_start(end - 1) };
        Bounds { start, end }
    }

    /// The windows that hold the rows of a slice and accept them, from the first that ends.
    pub fn windows(&self, slice: SliceId) -> impl Iterator<Item = Bounds> + use<> {
        let borders = *self;
        (slice.enter..=slice.last + self.size).step_by(self.slide as usize).map(move |end| borders.ending_at(end))
    }

    /// The span of event times around `t`.
    pub fn span(&self, t: i64) -> Result<Span, OperatorError> {
        room_around(t)?;
        let slice = SliceId { enter: self.first_end_after(t), last: self.last_start(t) };
        let from = slice.last.max(slice.enter - self.slide);
        let until = (slice.last + self.starts).min(slice.enter);
        Ok(Span { from, until, slice })
    }

    /// Whether any window holds the rows of a slice: not in the gaps of a slide longer than the size, nor where every
    /// window that holds the row refuses it.
    pub fn holds(&self, slice: SliceId) -> bool {
        slice.enter <= slice.last + self.size
    }

    /// The slice of a row of `slice` that is late by `tag`: windows that end at or before the tag refuse it. `None` if
    /// all do.
    pub fn late(&self, slice: SliceId, tag: i64) -> Option<SliceId> {
        if tag >= slice.last + self.size {
            return None;
        }
        let accepted = SliceId { enter: slice.enter.max(self.first_end_after(tag)), ..slice };
        self.holds(accepted).then_some(accepted)
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
    use proptest::prelude::*;

    fn hop(slide_ms: i64, size_ms: i64, offset_ms: i64) -> Borders {
        Borders::new(&WindowKind::Hop { slide_ms, size_ms, offset_ms }).unwrap()
    }

    fn cumulate(step_ms: i64, steps: i64, offset_ms: i64) -> Borders {
        Borders::new(&WindowKind::Cumulate { step_ms, size_ms: step_ms * steps, offset_ms }).unwrap()
    }

    /// The windows that hold `t` and end after `tag`, by trying all; ends ascend.
    fn naive(b: &Borders, t: i64, tag: i64) -> Vec<Bounds> {
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
    }
}
