//! Values by their place, ROWS frames, frames without the current row. Expected values are worked out by hand.

use super::scripts::{Case, case};
use highwater_engine::graph::{Frame, PseudoColumn};

const HOUR: i64 = 3_600_000;
const MONTH: i64 = 30 * 24 * HOUR;

fn rows(first: u32, last: u32, calls: &[(usize, &'static str)]) -> Case {
    case(&["card", "amount"], &[], calls).over(&[Frame::rows(first, last, MONTH)])
}

#[test]
fn lag_is_the_row_before_within_the_frame() {
    case(&["card", "shop"], &[(HOUR, 0)], &[(0, "lag shop"), (0, "lag2 shop")]).check(
        "08:00 | A | a
         08:10 | B | x
         08:20 | A | b
         08:40 | A | c
         09:40 | A | d
         10:40:00.001 | A | e
         ----
         08:00 | A | a | NULL | NULL
         08:10 | B | x | NULL | NULL
         08:20 | A | b | a | NULL
         08:40 | A | c | b | a
         09:40 | A | d | c | NULL               // 08:40 is exactly one hour before, 08:20 more
         10:40:00.001 | A | e | NULL | NULL     // 09:40 is one hour and 1 ms before",
    );
}

#[test]
fn lag_does_not_skip_nulls() {
    case(&["card", "shop"], &[(HOUR, 0)], &[(0, "lag shop"), (0, "lag2 shop")]).check(
        "08:00 | A | a
         08:10 | A | NULL
         08:20 | A | b
         ----
         08:00 | A | a | NULL | NULL
         08:10 | A | NULL | a | NULL
         08:20 | A | b | NULL | a",
    );
}

#[test]
fn first_last_and_nth_ignore_nulls_and_rows_filtered_out() {
    let calls = [(0, "first shop"), (0, "last shop"), (0, "second shop"), (0, "first shop if declined")];
    case(&["card", "shop", "declined"], &[(HOUR, 0)], &calls).check(
        "08:00 | A | NULL | true
         08:10 | A | a | false
         08:20 | A | b | true
         08:30 | A | NULL | true
         09:15 | A | c | NULL
         ----
         08:00 | A | NULL | true | NULL | NULL | NULL | NULL
         08:10 | A | a | false | a | a | NULL | NULL
         08:20 | A | b | true | a | b | b | b
         08:30 | A | NULL | true | a | b | b | b
         09:15 | A | c | NULL | b | c | c | b   // 08:20 and later",
    );
}

#[test]
fn peers_stand_in_the_order_of_their_sources() {
    let calls = [(0, "first n"), (0, "last n"), (0, "lag n"), (0, "second n")];
    case(&["card", "n"], &[(HOUR, 0)], &calls).check(
        "08:00 #0/1/4 | A | 4
         08:00 #0/0/9 | A | 2
         08:00 #0/1/3 | A | 3
         08:00 #0/0/7 | A | 1
         08:00 #0/0/8 | B | 8
         ----
         08:00 | A | 1 | 1 | 4 | NULL | 2
         08:00 | A | 2 | 1 | 4 | 1 | 2
         08:00 | B | 8 | 8 | 8 | NULL | NULL
         08:00 | A | 3 | 1 | 4 | 2 | 2
         08:00 | A | 4 | 1 | 4 | 3 | 2",
    );
}

#[test]
fn peers_without_a_source_stand_in_the_order_of_their_columns() {
    case(&["card", "n"], &[(HOUR, 0)], &[(0, "lag n"), (0, "first n")]).check(
        "08:00 | A | 3
         08:00 | A | -1
         08:00 | A | 2
         ----
         08:00 | A | -1 | NULL | -1
         08:00 | A | 2 | -1 | -1
         08:00 | A | 3 | 2 | -1",
    );
}

#[test]
fn a_frame_of_rows_counts_rows_not_time() {
    rows(
        2,
        0,
        &[(0, "count"), (0, "sum amount"), (0, "min amount"), (0, "first amount"), (0, "count distinct amount")],
    )
    .check(
        "08:00 | A | 5
         08:01 | A | 3
         08:01 | B | 9
         12:00 | A | 3
         12:00 | A | 4
         ----
         08:00 | A | 5 | 1 | 5 | 5 | 5 | 1
         08:01 | A | 3 | 2 | 8 | 3 | 5 | 2
         08:01 | B | 9 | 1 | 9 | 9 | 9 | 1
         12:00 | A | 3 | 3 | 11 | 3 | 5 | 2
         12:00 | A | 4 | 3 | 10 | 3 | 3 | 2     // a peer does not see the one behind it",
    );
}

#[test]
fn a_frame_of_rows_may_end_before_the_current_one() {
    rows(3, 1, &[(0, "count"), (0, "sum amount"), (0, "last amount")]).check(
        "08:00 | A | 1
         08:01 | A | 2
         08:02 | A | 4
         08:03 | A | 8
         08:04 | A | 16
         ----
         08:00 | A | 1 | 0 | NULL | NULL
         08:01 | A | 2 | 1 | 1 | 1
         08:02 | A | 4 | 2 | 3 | 2
         08:03 | A | 8 | 3 | 7 | 4
         08:04 | A | 16 | 3 | 14 | 8",
    );
}

#[test]
fn rows_older_than_the_time_to_live_are_in_no_frame_of_rows() {
    let frame = [Frame::rows(10, 0, HOUR)];
    case(&["card", "amount"], &[], &[(0, "count"), (0, "sum amount"), (0, "lag amount")]).over(&frame).check(
        "08:00 | A | 1
         09:00 | A | 2
         09:30 | A | 4
         10:30:00.001 | A | 8
         ----
         08:00 | A | 1 | 1 | 1 | NULL
         09:00 | A | 2 | 2 | 3 | 1
         09:30 | A | 4 | 2 | 6 | 2              // 08:00 is 90 minutes before
         10:30:00.001 | A | 8 | 1 | 8 | NULL",
    );
}

#[test]
fn excluding_the_current_row_leaves_its_peers() {
    let frame = [Frame::range(HOUR, 0).without_current()];
    let calls = [(0, "count"), (0, "sum amount"), (0, "max amount"), (0, "count distinct amount"), (0, "last amount")];
    case(&["card", "amount"], &[], &calls).over(&frame).check(
        "08:00 #0/0/1 | A | 5
         08:30 #0/0/2 | A | 3
         08:30 #0/0/3 | A | 7
         08:40 #0/0/4 | A | 5
         08:50 #0/0/5 | A | NULL
         ----
         08:00 | A | 5 | 0 | NULL | NULL | 0 | NULL
         08:30 | A | 3 | 2 | 12 | 7 | 2 | 7
         08:30 | A | 7 | 2 | 8 | 5 | 2 | 3
         08:40 | A | 5 | 3 | 15 | 7 | 3 | 7     // 5 is still there, by the row of 08:00
         08:50 | A | NULL | 4 | 20 | 7 | 3 | 5",
    );
}

#[test]
fn a_deviation_without_the_current_row_is_that_of_its_past() {
    // 2, 4, 4, 4, 5, 5, 7, 9 deviate by 2, of the sample by 2.138090
    let frame = [Frame::range(HOUR, 0).without_current()];
    let calls = [(0, "stddev_pop amount"), (0, "stddev amount"), (0, "var_pop amount"), (0, "avg amount")];
    case(&["card", "amount"], &[], &calls).over(&frame).check(
        "08:00 | A | 2
         08:01 | A | 4
         08:02 | A | 4
         08:03 | A | 4
         08:04 | A | 5
         08:05 | A | 5
         08:06 | A | 7
         08:07 | A | 9
         08:08 | A | 100
         ----
         08:00 | A | 2 | NULL | NULL | NULL | NULL
         08:01 | A | 4 | 0 | NULL | 0 | 2
         08:02 | A | 4 | 1 | 1.414214 | 1 | 3
         08:03 | A | 4 | 0.942809 | 1.154701 | 0.888889 | 3.333333
         08:04 | A | 5 | 0.866025 | 1 | 0.75 | 3.5
         08:05 | A | 5 | 0.979796 | 1.095445 | 0.96 | 3.8
         08:06 | A | 7 | 1 | 1.095445 | 1 | 4
         08:07 | A | 9 | 1.399708 | 1.511858 | 1.959184 | 4.428571
         08:08 | A | 100 | 2 | 2.13809 | 4 | 5",
    );
}

#[test]
fn all_and_any() {
    case(&["card", "declined"], &[(HOUR, 0)], &[(0, "all declined"), (0, "any declined")]).check(
        "08:00 | A | NULL
         08:10 | A | true
         08:20 | A | false
         09:15 | A | true
         09:21 | A | true
         ----
         08:00 | A | NULL | NULL | NULL
         08:10 | A | true | true | true
         08:20 | A | false | false | true
         09:15 | A | true | false | true
         09:21 | A | true | true | true",
    );
}

#[test]
fn under_arrival_places_are_those_of_the_log_so_far() {
    let calls = [(0, "lag n"), (0, "last n"), (0, "first n")];
    let mut case = case(&["card", "n"], &[(HOUR, 0)], &calls).arrival(HOUR);
    case.pseudo = vec![PseudoColumn::IsLate];
    case.check(
        "08:00 #0/0/1 | A | 1
         08:20 #0/0/2 | A | 3
         watermark 08:15 cut 1
         08:10 @08:15 #1/0/3 | A | 2
         08:20 #1/0/4 | A | 4
         ----
         08:00 | A | 1 | NULL | 1 | 1 | false
         08:20 | A | 3 | 1 | 3 | 1 | false
         08:10 | A | 2 | 1 | 2 | 1 | true
         08:20 | A | 4 | 3 | 4 | 1 | false",
    );
}

#[test]
fn a_value_that_does_not_count_may_be_of_any_size() {
    let huge = "9".repeat(37);
    case(&["card", "big", "declined"], &[(HOUR, 0)], &[(0, "var_pop big if declined")]).check(&format!(
        "08:00 | A | 1 | true
         08:01 | A | {huge} | false
         08:02 | A | 3 | true
         ----
         08:00 | A | 1 | true | 0.000000
         08:01 | A | {huge} | false | 0.000000
         08:02 | A | 3 | true | 1.000000"
    ));
}

#[test]
fn a_median_lies_between_the_two_values_in_the_middle() {
    let calls = [(0, "median amount"), (0, "p90 amount"), (0, "median amount if declined")];
    case(&["card", "amount", "declined"], &[(HOUR, 0)], &calls).check(
        "08:00 | A | 4 | true
         08:10 | A | 1 | NULL
         08:20 | B | 7 | false
         08:30 | A | NULL | true
         08:40 | A | 3 | true
         09:10:00.001 | A | -2 | false
         ----
         08:00 | A | 4 | true | 4.000000 | 4.000000 | 4.000000
         08:10 | A | 1 | NULL | 2.500000 | 3.700000 | 4.000000      // 1 and 4: 0.9 of the way is 3.7
         08:20 | B | 7 | false | 7.000000 | 7.000000 | NULL
         08:30 | A | NULL | true | 2.500000 | 3.700000 | 4.000000
         08:40 | A | 3 | true | 3.000000 | 3.800000 | 3.500000      // 1 3 4: place 1.8
         09:10:00.001 | A | -2 | false | 0.500000 | 2.500000 | 3.000000   // 4 and 1 have left: -2 3, place 0.9",
    );
}

#[test]
fn a_row_without_its_ties_counts_itself_and_what_was_before_them() {
    let calls = [
        (0, "count"),
        (0, "sum n"),
        (0, "max n"),
        (0, "count distinct n"),
        (0, "first n"),
        (0, "last n"),
        (0, "median n"),
    ];
    case(&["card", "n"], &[], &calls).over(&[Frame::without_ties(HOUR)]).check(
        "08:00 #0/0/1 | A | 4
         08:30 #0/0/2 | A | 4
         08:30 #0/0/3 | A | 6
         08:30 #0/0/4 | A | NULL
         09:30 #0/0/5 | A | 1
         ----
         08:00 | A | 4 | 1 | 4 | 4 | 1 | 4 | 4 | 4.000000
         08:30 | A | 4 | 2 | 8 | 4 | 1 | 4 | 4 | 4.000000
         08:30 | A | 6 | 2 | 10 | 6 | 2 | 4 | 6 | 5.000000
         08:30 | A | NULL | 2 | 4 | 4 | 1 | 4 | 4 | 4.000000
         09:30 | A | 1 | 4 | 11 | 6 | 3 | 4 | 1 | 4.000000",
    );
}

#[test]
fn a_median_of_rows_leaves_the_current_one_out_where_the_frame_does() {
    let without = Frame::range(HOUR, 0).without_current();
    case(&["card", "amount"], &[], &[(0, "median amount"), (1, "median amount")])
        .over(&[Frame::rows(2, 0, MONTH), without])
        .check(
            "08:00 | A | 10
             08:01 | A | 20
             08:02 | A | 40
             08:03 | A | 5
             ----
             08:00 | A | 10 | 10.000000 | NULL
             08:01 | A | 20 | 15.000000 | 10.000000
             08:02 | A | 40 | 20.000000 | 15.000000
             08:03 | A | 5 | 20.000000 | 20.000000",
        );
}
