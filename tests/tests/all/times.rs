//! TIME through whole jobs: read and written in every format, as a key, compared, cast, least and greatest.

use highwater_tests::{Setting, digests, rows, run};

const COLUMNS: &str = "ts TIMESTAMP(3), id BIGINT, opens TIME, at TIME(3), fine TIME(6)";

const GIVEN: &str = "\
2026-01-01 00:00:01,1,09:00:00,12:34:56.789,23:59:59.999999
2026-01-01 00:00:02,2,09:00:00,00:00:00.001,00:00:00.000001
2026-01-01 00:00:03,3,17:30:00,NULL,NULL
2026-01-01 00:00:04,4,24:00:00,00:00:00.000,00:00:00
2026-01-01 00:00:05,5,10:00:00.5,00:00:00.000,00:00:00
2026-01-01 13:14:15.016,6,17:30:00,12:34:56.790,12:00:00
";

#[test]
fn what_a_job_writes_in_any_format_another_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(folder.path().join("given.csv"), GIVEN).unwrap();
    let mut first = None;
    for format in ["csv", "json", "parquet"] {
        let null = if format == "csv" { ", 'csv.null-literal' = 'NULL'" } else { "" };
        let copy = format!(
            "CREATE TABLE given ({COLUMNS}, WATERMARK FOR ts AS ts)
               WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv', 'csv.null-literal' = 'NULL');
             CREATE TABLE copy ({COLUMNS}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = '{format}'{null});
             CREATE TABLE bad (reason STRING) WITH ('connector' = 'table');
             INSERT INTO copy SELECT * FROM given;
             INSERT INTO bad SELECT reason FROM `given$errors`;",
            path("given.csv"),
            path(format)
        );
        let outcome = run(&copy, &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            rows(outcome.table("bad").unwrap()),
            [
                "line 4, column 3 (opens): \"24:00:00\" is not a TIME(0); correct the row or declare the column as STRING",
                "line 5, column 3 (opens): \"10:00:00.5\" has more decimals than TIME(0); correct the row or declare more (nothing is rounded)"
            ]
        );
        let read = format!(
            "CREATE TABLE copy ({COLUMNS}, WATERMARK FOR ts AS ts)
               WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = '{format}'{null});
             CREATE TABLE opened (opens TIME, n BIGINT, least TIME(3), most TIME(6)) WITH ('connector' = 'table');
             CREATE TABLE early (id BIGINT, at STRING, clock TIME(3), day_one TIMESTAMP(3)) WITH ('connector' = 'table');
             CREATE TABLE so_far (id BIGINT, most TIME(3)) WITH ('connector' = 'table');
             INSERT INTO opened SELECT opens, COUNT(*), MIN(at), MAX(fine)
               FROM TABLE(TUMBLE(TABLE copy, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end, opens;
             INSERT INTO early SELECT id, CAST(at AS STRING), CAST(ts AS TIME(3)), CAST(opens AS TIMESTAMP(3)) FROM copy
               WHERE at < TIME '12:34:56.79' OR opens BETWEEN TIME '17:00' AND TIME '17:30:00.0' AND id > 3;
             INSERT INTO so_far SELECT id, MAX(at) OVER (PARTITION BY opens ORDER BY ts
               RANGE BETWEEN START OF DAY PRECEDING AND CURRENT ROW) FROM copy;",
            path(format)
        );
        for workers in [1, 2] {
            let outcome = run(&read, &[], Setting::of_workers(workers)).unwrap_or_else(|e| panic!("{format}: {e}"));
            assert_eq!(
                rows(outcome.table("opened").unwrap()),
                ["09:00:00|2|00:00:00.001|23:59:59.999999", "17:30:00|2|12:34:56.790|12:00:00"],
                "{format}"
            );
            assert_eq!(
                rows(outcome.table("early").unwrap()),
                [
                    "1|12:34:56.789|00:00:01|1970-01-01 09:00:00",
                    "2|00:00:00.001|00:00:02|1970-01-01 09:00:00",
                    "6|12:34:56.790|13:14:15.016|1970-01-01 17:30:00"
                ],
                "{format}"
            );
            assert_eq!(
                rows(outcome.table("so_far").unwrap()),
                ["1|12:34:56.789", "2|12:34:56.789", "3|NULL", "6|12:34:56.790"],
                "{format}"
            );
            assert_eq!(first.get_or_insert_with(|| digests(&outcome)), &digests(&outcome), "{format}");
        }
    }
}
