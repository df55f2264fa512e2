//! `table.local-time-zone`: what `java.time` and the tz database say of five instants around the nights on which Berlin's clocks
//! were set in 2024 (at 01:00 UTC, on 31 March from 2:00 to 3:00, on 27 October from 3:00 to 2:00).

use highwater_tests::{Setting, rows, run};

/// Before and behind the skipped hour, midnight in summer, and half past two twice.
const INSTANTS: [(i64, &str); 5] = [
    (1, "2024-03-31 00:59:50"),
    (2, "2024-03-31 01:00:00"),
    (3, "2024-06-30 22:00:00"),
    (4, "2024-10-27 00:30:00"),
    (5, "2024-10-27 01:30:00"),
];

const JOB: &str = "
SET 'table.local-time-zone' = 'Europe/Berlin';
CREATE TABLE payments (id BIGINT, ts TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts)
  WITH ('connector' = 'filesystem', 'path' = 'PATH/in.csv', 'format' = 'csv');
CREATE TABLE clocks (id BIGINT, ts TIMESTAMP_LTZ(3), here AS CAST(ts AS TIMESTAMP(3)),
  WATERMARK FOR here AS here - INTERVAL '1' DAY)
  WITH ('connector' = 'filesystem', 'path' = 'PATH/in.csv', 'format' = 'csv');
CREATE TABLE counted (id BIGINT, ts TIMESTAMP_LTZ(3))
  WITH ('connector' = 'filesystem', 'path' = 'PATH/counted', 'format' = 'parquet');
CREATE TABLE shown (id BIGINT, s STRING, here TIMESTAMP(3), d DATE, h BIGINT, f STRING, since_midnight INT,
  moved INT, behind BOOLEAN) WITH ('connector' = 'table');
CREATE TABLE sessions (s TIMESTAMP(3), e TIMESTAMP(3), t TIMESTAMP_LTZ(3), n BIGINT) WITH ('connector' = 'table');
CREATE TABLE short (s TIMESTAMP(3), e TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table');
CREATE TABLE weeks (s TIMESTAMP(3), e TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table');
CREATE TABLE days (id BIGINT, s TIMESTAMP(3), t TIMESTAMP_LTZ(3)) WITH ('connector' = 'table');
CREATE TABLE last (s TIMESTAMP(3), id BIGINT) WITH ('connector' = 'table');
CREATE TABLE busiest (s TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table');
CREATE TABLE dates (s TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table');
CREATE TABLE today (id BIGINT, n BIGINT) WITH ('connector' = 'table');
CREATE TABLE here (id BIGINT, n BIGINT) WITH ('connector' = 'table');

INSERT INTO shown SELECT id, CAST(ts AS STRING), CAST(ts AS TIMESTAMP(3)), CAST(ts AS DATE), EXTRACT(HOUR FROM ts),
  DATE_FORMAT(ts, 'dd.MM. HH:mm'), TIMESTAMPDIFF(SECOND, FLOOR(ts TO DAY), ts),
  TIMESTAMPDIFF(SECOND, CAST(CAST(ts AS TIMESTAMP(3)) AS TIMESTAMP_LTZ(3)), ts),
  ts >= CAST(TIMESTAMP '2024-03-31 02:30:00' AS TIMESTAMP_LTZ(3)) FROM payments;
CREATE VIEW minutes AS SELECT window_start AS s, window_time AS t, COUNT(*) AS n
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, window_time;
INSERT INTO sessions SELECT window_start, window_end, window_time, COUNT(*)
  FROM TABLE(SESSION(TABLE payments, DESCRIPTOR(ts), INTERVAL '10' MINUTE)) GROUP BY window_start, window_end, window_time;
INSERT INTO short SELECT window_start, window_end, COUNT(*)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
INSERT INTO weeks SELECT window_start, window_end, COUNT(*)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '7' DAY)) GROUP BY window_start, window_end;
INSERT INTO days SELECT id, window_start, window_time FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' DAY));
INSERT INTO last SELECT window_start, id FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '5' MINUTE))
  QUALIFY ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY id DESC) = 1;
INSERT INTO busiest SELECT window_start, SUM(n) FROM TABLE(TUMBLE(TABLE minutes, DESCRIPTOR(t), INTERVAL '1' DAY))
  GROUP BY window_start, window_end;
INSERT INTO dates SELECT window_start, COUNT(*)
  FROM TABLE(TUMBLE(TABLE clocks, DESCRIPTOR(here), INTERVAL '1' DAY)) GROUP BY window_start, window_end;
INSERT INTO today SELECT id, COUNT(*) OVER (ORDER BY ts RANGE START OF DAY PRECEDING) FROM payments;
INSERT INTO here SELECT id, COUNT(*) OVER (ORDER BY here RANGE START OF DAY PRECEDING) FROM clocks;
INSERT INTO counted SELECT id, TO_TIMESTAMP_LTZ(id * 1000, 3) FROM payments;
";

/// The job over the instants.
fn job(folder: &std::path::Path) -> String {
    let lines = INSTANTS.map(|(id, at)| format!("{id},{at}Z\n"));
    std::fs::write(folder.join("in.csv"), lines.concat()).unwrap();
    JOB.replace("PATH", &folder.display().to_string())
}

#[test]
fn instants_go_by_the_clocks_of_the_jobs_zone() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&job(folder.path()), &[], Setting::of_workers(2)).unwrap();
    for (table, lines) in [
        (
            "shown",
            &[
                "1|2024-03-31 01:59:50.000|2024-03-31 01:59:50|2024-03-31|1|31.03. 01:59|7190|0|false",
                "2|2024-03-31 03:00:00.000|2024-03-31 03:00:00|2024-03-31|3|31.03. 03:00|7200|0|false",
                "3|2024-07-01 00:00:00.000|2024-07-01 00:00:00|2024-07-01|0|01.07. 00:00|0|0|true",
                "4|2024-10-27 02:30:00.000|2024-10-27 02:30:00|2024-10-27|2|27.10. 02:30|9000|0|true",
                "5|2024-10-27 02:30:00.000|2024-10-27 02:30:00|2024-10-27|2|27.10. 02:30|12600|3600|true",
            ][..],
        ),
        (
            "sessions",
            &[
                "2024-03-31 01:59:50|2024-03-31 03:10:00|2024-03-31 03:09:59.999|2",
                "2024-07-01 00:00:00|2024-07-01 00:10:00|2024-07-01 00:09:59.999|1",
                "2024-10-27 02:30:00|2024-10-27 02:40:00|2024-10-27 02:39:59.999|1",
                "2024-10-27 02:30:00|2024-10-27 02:40:00|2024-10-27 02:39:59.999|1",
            ],
        ),
        (
            "short",
            &[
                "2024-03-31 01:59:50|2024-03-31 03:00:00|1",
                "2024-03-31 03:00:00|2024-03-31 03:00:10|1",
                "2024-07-01 00:00:00|2024-07-01 00:00:10|1",
                "2024-10-27 02:30:00|2024-10-27 02:30:10|1",
                "2024-10-27 02:30:00|2024-10-27 02:30:10|1",
            ],
        ),
        // weeks from Thursday, as 1970 began, by the clocks of Berlin
        (
            "weeks",
            &[
                "2024-03-28 00:00:00|2024-04-04 00:00:00|2",
                "2024-06-27 00:00:00|2024-07-04 00:00:00|1",
                "2024-10-24 00:00:00|2024-10-31 00:00:00|2",
            ],
        ),
        (
            "days",
            &[
                "1|2024-03-31 00:00:00|2024-03-31 23:59:59.999",
                "2|2024-03-31 00:00:00|2024-03-31 23:59:59.999",
                "3|2024-07-01 00:00:00|2024-07-01 23:59:59.999",
                "4|2024-10-27 00:00:00|2024-10-27 23:59:59.999",
                "5|2024-10-27 00:00:00|2024-10-27 23:59:59.999",
            ],
        ),
        (
            "last",
            &[
                "2024-03-31 01:55:00|1",
                "2024-03-31 03:00:00|2",
                "2024-07-01 00:00:00|3",
                "2024-10-27 02:30:00|4",
                "2024-10-27 02:30:00|5",
            ],
        ),
        ("busiest", &["2024-03-31 00:00:00|2", "2024-07-01 00:00:00|1", "2024-10-27 00:00:00|2"]),
        // a TIMESTAMP has no zone, whatever that of the job is
        ("dates", &["2024-03-31 00:00:00|2", "2024-07-01 00:00:00|1", "2024-10-27 00:00:00|2"]),
        ("today", &["1|1", "2|2", "3|1", "4|1", "5|2"]),
        ("here", &["1|1", "2|2", "3|1", "4|2", "5|2"]),
    ] {
        assert_eq!(rows(outcome.table(table).unwrap()), lines, "{table}");
    }
}

/// A file of instants is the same whoever reads it: the zone is the job's, not the column's.
#[test]
fn instants_in_files_belong_to_no_zone() {
    let folder = tempfile::tempdir().unwrap();
    run(&job(folder.path()), &[], Setting::of_workers(1)).unwrap();
    for (zone, expected) in
        [("Europe/Berlin", "1970-01-01 01:00:01.000"), ("America/New_York", "1969-12-31 19:00:01.000")]
    {
        let job = format!(
            "SET 'table.local-time-zone' = '{zone}';
             CREATE TABLE counted (id BIGINT, ts TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts)
               WITH ('connector' = 'filesystem', 'path' = '{}/counted', 'format' = 'parquet');
             CREATE TABLE shown (s STRING) WITH ('connector' = 'table');
             INSERT INTO shown SELECT CAST(ts AS STRING) FROM counted WHERE id = 1;",
            folder.path().display()
        );
        let outcome = run(&job, &[], Setting::of_workers(1)).unwrap();
        assert_eq!(rows(outcome.table("shown").unwrap()), [expected], "{zone}");
    }
}
