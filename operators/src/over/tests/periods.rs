//! Frames that begin with a day, week or month of a zone. Instants are UTC; borders are those of the tz database, answers
//! are worked out by hand.

use super::scripts::case;
use highwater_engine::graph::{Frame, Length, StartOf};

const HOUR: i64 = 3_600_000;
const DAY: Length = Length::Ms(24 * HOUR);
const WEEK: Length = Length::Ms(7 * 24 * HOUR);
const MONTH: Length = Length::Months(1);

fn since(period: Length, zone: &str) -> Frame {
    of(Frame::range(32 * 24 * HOUR, 0), period, zone)
}

fn of(frame: Frame, period: Length, zone: &str) -> Frame {
    frame.since(StartOf { period, zone: zone.into() })
}

/// Berlin's 27 October 2024 lasts from 26, 22:00 to 27, 23:00.
#[test]
fn a_day_on_which_clocks_are_set_back_has_25_hours() {
    let frames = [since(DAY, "Europe/Berlin"), Frame::range(24 * HOUR, 0)];
    case(&["card", "amount"], &[], &[(0, "count"), (0, "sum amount"), (1, "sum amount")]).over(&frames).check(
        "2024-10-26 21:59:59.999 | A | 1
         2024-10-26 22:00 | A | 2
         2024-10-27 00:30 | A | 4               // the clock shows 02:30
         2024-10-27 01:30 | A | 8               // and again
         2024-10-27 22:59:59.999 | A | 16
         2024-10-27 22:59:59.999 | B | 64
         2024-10-27 23:00 | A | 32
         ----
         2024-10-26 21:59:59.999 | A | 1 | 1 | 1 | 1
         2024-10-26 22:00 | A | 2 | 1 | 2 | 3
         2024-10-27 00:30 | A | 4 | 2 | 6 | 7
         2024-10-27 01:30 | A | 8 | 3 | 14 | 15
         2024-10-27 22:59:59.999 | A | 16 | 4 | 30 | 28
         2024-10-27 22:59:59.999 | B | 64 | 1 | 64 | 64
         2024-10-27 23:00 | A | 32 | 1 | 32 | 60",
    );
}

/// New York's 10 March 2024, a Sunday, lasts from 05:00 to 11, 04:00; its week begins on the 4th at 05:00, its April
/// on the 1st, a Monday, at 04:00.
#[test]
fn weeks_begin_on_monday_and_months_on_the_first() {
    let frames = [WEEK, DAY, MONTH].map(|p| since(p, "America/New_York"));
    let calls = [(0, "count distinct shop"), (0, "max amount"), (1, "min amount"), (2, "sum amount")];
    case(&["card", "amount", "shop"], &[], &calls).over(&frames).check(
        "2024-03-04 04:59:59.999 | A | 8 | x
         2024-03-04 05:00 | A | 1 | y
         2024-03-10 04:59 | A | 4 | x
         2024-03-10 05:00 | A | 2 | y
         2024-03-11 03:59 | A | 3 | x
         2024-03-11 04:00 | A | 5 | y
         2024-04-01 03:59:59.999 | A | 1 | NULL
         2024-04-01 04:00 | A | 7 | x
         ----
         2024-03-04 04:59:59.999 | A | 8 | x | 1 | 8 | 8 | 8
         2024-03-04 05:00 | A | 1 | y | 1 | 1 | 1 | 9
         2024-03-10 04:59 | A | 4 | x | 2 | 4 | 4 | 13
         2024-03-10 05:00 | A | 2 | y | 2 | 4 | 2 | 15
         2024-03-11 03:59 | A | 3 | x | 2 | 4 | 2 | 18
         2024-03-11 04:00 | A | 5 | y | 1 | 5 | 5 | 23
         2024-04-01 03:59:59.999 | A | 1 | NULL | 0 | 1 | 1 | 24
         2024-04-01 04:00 | A | 7 | x | 1 | 7 | 7 | 7",
    );
}

/// Berlin's 31 March 2024 lasts from 30, 23:00 to 31, 22:00.
#[test]
fn rows_are_excluded_from_a_day_as_from_any_frame() {
    let day = |frame| of(frame, DAY, "Europe/Berlin");
    let range = || Frame::range(25 * HOUR, 0);
    let group = day(Frame::range(25 * HOUR, 1));
    let frames = [day(range()), day(range().without_current()), day(Frame::without_ties(25 * HOUR)), group];
    let calls = [(0, "count"), (1, "sum amount"), (2, "sum amount"), (3, "count"), (0, "first shop"), (0, "lag shop")];
    case(&["card", "amount", "shop"], &[], &calls).over(&frames).check(
        "2024-03-30 22:59 | A | 1 | p
         2024-03-30 23:00 | A | 2 | q
         2024-03-30 23:00 | A | 4 | r
         2024-03-31 21:59:59.999 | A | 8 | s
         2024-03-31 22:00 | A | 16 | t
         ----
         2024-03-30 22:59 | A | 1 | p | 1 | NULL | 1 | 0 | p | NULL
         2024-03-30 23:00 | A | 2 | q | 2 | 4 | 2 | 0 | q | NULL
         2024-03-30 23:00 | A | 4 | r | 2 | 2 | 4 | 0 | q | q
         2024-03-31 21:59:59.999 | A | 8 | s | 3 | 6 | 14 | 2 | q | r
         2024-03-31 22:00 | A | 16 | t | 1 | NULL | 16 | 0 | t | NULL",
    );
}

/// Deviations, a median and a FILTER are of the day's rows alone: 2, 4, 6 deviate by 2.
#[test]
fn all_that_a_day_held_leaves_with_it() {
    let calls =
        [(0, "stddev amount"), (0, "avg amount"), (0, "median amount"), (0, "count if declined"), (0, "last n")];
    let frame = [since(DAY, "Europe/Berlin")];
    case(&["card", "amount", "declined", "n"], &[], &calls).over(&frame).check(
        "2024-10-26 22:00 | A | 2 | true | 1
         2024-10-27 12:00 | A | 4 | true | 2
         2024-10-27 22:59 | A | 6 | false | NULL
         2024-10-27 23:00 | A | 10 | false | NULL
         2024-10-28 22:59 | A | 20 | true | 3
         ----
         2024-10-26 22:00 | A | 2 | true | 1 | NULL | 2 | 2 | 1 | 1
         2024-10-27 12:00 | A | 4 | true | 2 | 1.414214 | 3 | 3 | 2 | 2
         2024-10-27 22:59 | A | 6 | false | NULL | 2 | 4 | 4 | 2 | 2
         2024-10-27 23:00 | A | 10 | false | NULL | NULL | 10 | 10 | 0 | NULL
         2024-10-28 22:59 | A | 20 | true | 3 | 7.071068 | 15 | 15 | 1 | 3",
    );
}

/// A frame that ends an hour before its row is empty in the first hour of the day.
#[test]
fn a_frame_that_would_end_before_its_day_begins_is_empty() {
    let frame = [of(Frame::range(24 * HOUR, HOUR), DAY, "UTC")];
    case(&["card", "amount"], &[], &[(0, "count"), (0, "sum amount"), (0, "max amount")]).over(&frame).check(
        "1970-01-01 22:30 | A | 1
         1970-01-01 23:50 | A | 2
         1970-01-02 00:40 | A | 4
         1970-01-02 01:39 | A | 8
         1970-01-02 01:40 | A | 16
         ----
         1970-01-01 22:30 | A | 1 | 0 | NULL | NULL
         1970-01-01 23:50 | A | 2 | 1 | 1 | 1
         1970-01-02 00:40 | A | 4 | 0 | NULL | NULL
         1970-01-02 01:39 | A | 8 | 0 | NULL | NULL
         1970-01-02 01:40 | A | 16 | 1 | 4 | 4",
    );
}

/// What is late by no more than the horizon finds the rows of its own day, and all of it from its beginning.
#[test]
fn under_arrival_rows_of_two_days_take_turns() {
    let frame = [since(DAY, "Europe/Berlin")];
    case(&["card", "amount"], &[], &[(0, "count"), (0, "sum amount")]).over(&frame).arrival(2 * HOUR).check(
        "2024-10-26 22:00 #1/0/0 | A | 1
         2024-10-27 22:30 #2/0/1 | A | 2
         2024-10-27 23:10 #3/0/2 | A | 4
         2024-10-27 22:50 #4/0/3 | A | 8        // out of order, but on time
         2024-10-28 00:30 #5/0/4 | A | 16
         watermark 2024-10-28 00:20 cut 6
         2024-10-27 22:40 @2024-10-28 00:20 #6/0/5 | A | 32
         2024-10-27 22:19 @2024-10-28 00:20 #6/0/6 | A | 64
         2024-10-28 00:31 #6/0/7 | A | 128
         ----
         2024-10-26 22:00 | A | 1 | 1 | 1 | false | false
         2024-10-27 22:30 | A | 2 | 2 | 3 | false | false
         2024-10-27 23:10 | A | 4 | 1 | 4 | false | false
         2024-10-27 22:50 | A | 8 | 3 | 11 | false | false
         2024-10-28 00:30 | A | 16 | 2 | 20 | false | false
         2024-10-27 22:40 | A | 32 | 3 | 35 | true | false
         2024-10-27 22:19 | A | 64 | NULL | NULL | true | true
         2024-10-28 00:31 | A | 128 | 3 | 148 | false | false",
    );
}
