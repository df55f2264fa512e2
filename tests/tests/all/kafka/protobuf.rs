//! Messages in protocol buffers between jobs and Google's Python package.

use super::{TO_THE_END, broker, options};
use highwater_tests::kafka::Broker;
use highwater_tests::kafka::bytes::{consume, produce};
use highwater_tests::protobuf;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const COLUMNS: &str = "ts TIMESTAMP(3), n BIGINT, u DECIMAL(20, 0), i INT, x BIGINT, q BIGINT, b BOOLEAN, f DOUBLE, g FLOAT, \
                       s STRING, y BYTES, d DECIMAL(20, 4), `day` DATE, e STRING, k INT, w BIGINT, t STRING, \
                       tz TIMESTAMP_LTZ(9), o1 BIGINT, o2 STRING, z BIGINT, `city.name` STRING, `city.zip` INT";
const AT_LEAST_ONCE: (&str, &str) = ("sink.delivery-guarantee", "at-least-once");

/// Runs a job that keeps its state in the folder.
fn run(job: &str, folder: &Path) -> Output {
    let path = folder.join("job.sql");
    std::fs::write(&path, job).unwrap();
    Command::new(env!("CARGO_BIN_EXE_highwater-subject")).args([&path, folder]).arg("1").output().unwrap()
}

fn with(broker: &Broker, topic: &str, file: &Path, message: &str, more: &[(&str, &str)]) -> String {
    let own = [
        ("properties.bootstrap.servers", broker.servers()),
        ("format", "protobuf"),
        ("protobuf.descriptor-file", file.to_str().unwrap()),
        ("protobuf.message-name", message),
    ];
    options(topic, &[&own[..], more].concat())
}

/// Messages of three writers, of which two have other fields; in parts; poison among them. What comes out is what went in, as
/// proto3 and as proto2.
#[test]
fn what_google_writes_is_read_and_what_is_written_it_reads() {
    let Some(written) = protobuf::write(20_261_124, 2_000) else { return };
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    ["proto-in", "proto-out", "proto-strict", "proto-again"].into_iter().for_each(|topic| client.create(topic, 1, &[]));
    // no message, a number cut off, no UTF-8, another wire type, field 0, the end of no group, a status without a name
    let poison: [&[u8]; 7] =
        [b"{\"n\": 1}", &[0x10], &[0x52, 1, 0xFF], &[0x12, 0], &[0, 1], &[0x14], &[0x0A, 0, 0x70, 9]];
    produce(&broker, "proto-in", written.messages.iter().map(|(bytes, _)| bytes.as_slice()).chain(poison));

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("payments.desc");
    std::fs::write(&file, &written.descriptors).unwrap();
    let job = format!(
        "CREATE TABLE i ({COLUMNS}, WATERMARK FOR ts AS ts) WITH ({});
         CREATE TABLE o ({COLUMNS}) WITH ({});
         CREATE TABLE strict ({COLUMNS}) WITH ({});
         CREATE TABLE bad (o BIGINT, reason STRING) WITH ('connector' = 'blackhole');
         INSERT INTO o SELECT * FROM i;
         INSERT INTO strict SELECT * FROM i;
         INSERT INTO bad SELECT position, reason FROM `i$errors`;",
        with(&broker, "proto-in", &file, "test.Payment", &[TO_THE_END]),
        with(&broker, "proto-out", &file, "test.Payment", &[AT_LEAST_ONCE]),
        with(&broker, "proto-strict", &file, "strict.Payment", &[AT_LEAST_ONCE]),
    );
    let output = run(&job, folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.lines().any(|line| line.starts_with("bad ") && line.contains(" 7 ")), "{shown}");

    let expected: Vec<_> = written.messages.iter().map(|(_, row)| row.clone()).collect();
    let plain = consume(&broker, "proto-out", expected.len());
    assert!(protobuf::read("test.Payment", &plain) == expected, "rows as proto3");
    let strict = consume(&broker, "proto-strict", expected.len());
    assert!(protobuf::read("strict.Payment", &strict) == expected, "rows as proto2");

    let folder = TempDir::new().unwrap();
    let job = format!(
        "CREATE TABLE i ({COLUMNS}, WATERMARK FOR ts AS ts) WITH ({});
         CREATE TABLE o ({COLUMNS}) WITH ({});
         INSERT INTO o SELECT * FROM i;",
        with(&broker, "proto-strict", &file, "strict.Payment", &[TO_THE_END]),
        with(&broker, "proto-again", &file, "test.Payment", &[AT_LEAST_ONCE]),
    );
    let output = run(&job, folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(consume(&broker, "proto-again", expected.len()) == plain, "rows read as proto2");
}

/// What is wrong with the file, the message and the columns is said when the job starts, with the name of the table.
#[test]
fn what_is_wrong_with_a_descriptor_file_is_said() {
    let Some(written) = protobuf::write(1, 1) else { return };
    let Some(broker) = broker() else { return };
    broker.client().create("proto-wrong", 1, &[]);
    let folder = TempDir::new().unwrap();
    let (file, text) = (folder.path().join("payments.desc"), folder.path().join("payments.proto"));
    std::fs::write(&file, &written.descriptors).unwrap();
    std::fs::write(&text, "syntax = \"proto3\";").unwrap();
    let missing = folder.path().join("nowhere.desc");
    let cases = [
        (&missing, "test.Payment", "n BIGINT", vec!["nowhere.desc", "can't be read", "--descriptor_set_out=FILE"]),
        (&text, "test.Payment", "n BIGINT", vec!["is no file of descriptors (byte "]),
        (&file, "test.Paymnet", "n BIGINT", vec!["has no message 'test.Paymnet'", "did you mean 'test.Payment'?"]),
        (&file, "test.Payment", "amuont BIGINT", vec!["column amuont: message test.Payment has no field amuont"]),
        (&file, "test.Payment", "n STRING", vec!["column n: field n is of type int64, which is no STRING"]),
    ];
    for (file, message, columns, says) in cases {
        let job = format!(
            "CREATE TABLE i (ts TIMESTAMP(3), {columns}, WATERMARK FOR ts AS ts) WITH ({});
             CREATE TABLE o (ts TIMESTAMP(3)) WITH ('connector' = 'blackhole');
             INSERT INTO o SELECT ts FROM i;",
            with(&broker, "proto-wrong", file, message, &[TO_THE_END]),
        );
        let output = run(&job, TempDir::new().unwrap().path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && says.iter().all(|s| said.contains(s)), "{said}");
        assert!(said.contains("table i: "), "{said}");
    }
}
