//! A live job over a topic, and the same topic replayed: equal rows, whatever happened to the live job.

use super::kills::{feed, given};
use super::{TO_THE_END, broker, with};
use highwater_jobs::args::{CompareArgs, GenerateArgs};
use highwater_jobs::compare::{Verdict, compare};
use highwater_jobs::generate::generate;
use highwater_jobs::reach::Replay;
use highwater_tests::kafka::Broker;
use highwater_tests::{Setting, replay};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PARTITIONS: usize = 4;
const START_MS: i64 = 1_767_225_600_000;
/// Payments per second of event time.
const EVENT_RATE: u64 = 5;

/// Velocity of cards, takings of merchants and late payments. The event time is the message's timestamp, so that a replay begins
/// by the broker's index.
fn job(broker: &Broker, out: &Path, more: &[(&str, &str)]) -> String {
    let files = |table: &str| {
        format!("'connector' = 'filesystem', 'path' = '{}', 'format' = 'json'", out.join(table).display())
    };
    format!(
        "SET 'execution.checkpointing.interval' = '200 ms';
         CREATE TABLE payments (ts TIMESTAMP(3) METADATA FROM 'timestamp', payment_id BIGINT, card BIGINT, merchant BIGINT,
           amount DECIMAL(12, 2), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ({});
         CREATE TABLE velocity (ts TIMESTAMP(3), payment_id BIGINT, n BIGINT, total DECIMAL(38, 2), merchants BIGINT)
           WITH ({});
         CREATE TABLE takings (window_start TIMESTAMP(3), window_end TIMESTAMP(3), merchant BIGINT, n BIGINT,
           total DECIMAL(38, 2)) WITH ({});
         CREATE TABLE late (watermark TIMESTAMP(3), payment_id BIGINT) WITH ({});
         INSERT INTO velocity SELECT ts, payment_id, COUNT(*) OVER w, SUM(amount) OVER w, COUNT(DISTINCT merchant) OVER w
           FROM payments
           WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW);
         INSERT INTO takings SELECT window_start, window_end, merchant, COUNT(*), SUM(amount)
           FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
           GROUP BY window_start, window_end, merchant;
         INSERT INTO late SELECT watermark, payment_id FROM `payments$late`;",
        with(broker, "live", more),
        files("velocity"),
        files("takings"),
        files("late"),
    )
}

fn start(folder: &Path, workers: usize) -> Child {
    Command::new(env!("CARGO_BIN_EXE_highwater-subject"))
        .arg(folder.join("job.sql"))
        .arg(folder)
        .arg(workers.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn killed_after(mut child: Child, time: Duration) {
    std::thread::sleep(time);
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(ended.is_none(), "{ended:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The long form: `HIGHWATER_PAYMENTS=1000000 cargo test --release --workspace --test all what_was_live -- --nocapture`
#[test]
fn what_was_live_is_what_a_replay_says() {
    let Some(broker) = broker() else { return };
    let payments = given("HIGHWATER_PAYMENTS", 60_000);
    let folder = tempfile::tempdir().unwrap();
    let (input, live, replayed) =
        (folder.path().join("input"), folder.path().join("live"), folder.path().join("replayed"));
    let define = [format!("event-rate={EVENT_RATE}"), "cards=3000".into(), "late-share=0.01".into()].to_vec();
    let (rows, partitions, format) = (payments, PARTITIONS, "json".into());
    generate(&GenerateArgs { rows, seed: 11, partitions, format, out: input.clone(), define }).unwrap();
    let mut client = broker.client();
    client.create("live", PARTITIONS, &["message.timestamp.type=CreateTime", "retention.ms=-1"]);

    // Killed twice while the payments come, and once behind them.
    std::fs::write(folder.path().join("job.sql"), job(&broker, &live, &[])).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| feed(&broker, "live", &input, (payments / 400).max(300) as usize, true));
        killed_after(start(folder.path(), 2), Duration::from_secs(3));
        killed_after(start(folder.path(), 1), Duration::from_secs(3));
        let child = start(folder.path(), 3);
        writer.join().unwrap();
        killed_after(child, Duration::from_secs(1));
    });
    std::fs::write(folder.path().join("job.sql"), job(&broker, &live, &[TO_THE_END])).unwrap();
    let output = start(folder.path(), 2).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // Off the edges of windows and of digest buckets.
    let span_ms = (1_000 * payments / EVENT_RATE) as i64;
    let (from, to) = (START_MS + span_ms * 2 / 5 + 12_345, START_MS + span_ms * 7 / 10 + 54_321);
    let wanted = Replay { from_ms: Some(from), to_ms: Some(to), warmup_ms: None };
    let since = Instant::now();
    let part = replay(&job(&broker, &replayed, &[]), &[], wanted, Setting::of_workers(2));
    let read = part.unwrap_or_else(|e| panic!("{e}")).report.sources[0].rows;
    assert!(read < payments * 9 / 10, "{read} rows were read");
    let within = |from: i64, to: i64| {
        let (a, b) = (live.clone(), replayed.clone());
        compare(&CompareArgs { a, b, from: Some(from.to_string()), to: Some(to.to_string()) }).unwrap()
    };
    let words = match within(from, to) {
        Verdict::Equal(words) => words,
        Verdict::Different(words) => panic!("live and replay differ: {words}"),
    };
    for table in ["velocity: ", "takings: ", "late: "] {
        let count = words.split(table).nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        assert!(count > Some(20), "{table} in {words}");
    }
    println!("{payments} payments live, {read} replayed in {:?}: equal, {words}", since.elapsed());
    let longer = within(from - 60_000, to);
    assert!(matches!(longer, Verdict::Different(_)), "live has rows before the replay: {longer:?}");
}
