//! The jobs in `jobs/`: right against a naive model of the same payments, alike at every setting.

mod model;

use highwater_engine::digest::Digest;
use highwater_engine::graph::TimeRange;
use highwater_jobs::args::GenerateArgs;
use highwater_jobs::generate::generate;
use highwater_jobs::job::Outcome;
use highwater_jobs::reach::Replay;
use highwater_tests::{Setting, digests, replay, repository, rows_with_epoch_ms, run};
use model::Payment;
use tempfile::TempDir;

/// 27 hours of event time, so that every frame is longer than nothing and shorter than everything.
const ROWS: u64 = 200_000;
const RATE: &str = "2";

fn job_text(name: &str) -> String {
    std::fs::read_to_string(repository().join("jobs").join(name)).unwrap()
}

/// The payments as files, one per partition, and as the model reads them.
fn payments() -> (TempDir, Vec<Payment>) {
    payments_of(ROWS, &[("event-rate", RATE)])
}

fn payments_of(rows: u64, options: &[(&str, &str)]) -> (TempDir, Vec<Payment>) {
    let folder = tempfile::tempdir().unwrap();
    let args = GenerateArgs {
        rows,
        seed: 42,
        partitions: 8,
        format: "csv".into(),
        out: folder.path().to_path_buf(),
        define: options.iter().chain(&[("csv.header", "true")]).map(|(k, v)| format!("{k}={v}")).collect(),
    };
    generate(&args).unwrap();
    let payments = model::read(folder.path());
    assert_eq!(payments.len() as u64, rows);
    (folder, payments)
}

/// The generator's options; `max-rows` of the shown tables is lifted, so that the tests see all rows.
fn on_generator(shown: &[&str]) -> Vec<(String, String)> {
    let mut define =
        vec![("payments.number-of-rows".into(), ROWS.to_string()), ("payments.event-rate".into(), RATE.into())];
    define.extend(shown.iter().map(|t| (format!("{t}.connector"), "table".into())));
    define.extend(shown.iter().map(|t| (format!("{t}.max-rows"), "1000000".into())));
    define
}

fn run_job(name: &str, define: &[(String, String)], setting: Setting) -> Outcome {
    run(&job_text(name), &borrowed(define), setting).unwrap_or_else(|e| panic!("{name} {setting:?}: {e}"))
}

fn borrowed(define: &[(String, String)]) -> Vec<(&str, &str)> {
    define.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

fn settings() -> [Setting; 5] {
    let of = |workers, batch_rows, epoch_rows| Setting { workers, batch_rows, epoch_rows };
    [of(1, 8192, 0), of(2, 64, 1000), of(2, 8192, 0), of(4, 1000, 5000), of(4, 8192, usize::MAX)]
}

fn table(outcome: &Outcome, name: &str) -> Vec<String> {
    rows_with_epoch_ms(outcome.table(name).unwrap_or_else(|| panic!("{name} is not shown")))
}

fn assert_rows(what: &str, found: &[String], mut expected: Vec<String>) {
    expected.sort();
    let first = found.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
    assert!(
        found == expected,
        "{what}: {} rows, expected {}; they differ first at row {first}:\n  found    {:?}\n  expected {:?}",
        found.len(),
        expected.len(),
        found.get(first),
        expected.get(first)
    );
}

#[test]
fn fraud_velocity_is_the_naive_model_at_any_setting() {
    let (folder, payments) = payments();
    let shown = ["alerts", "bursts_by_day", "late_payments"];
    let define = on_generator(&shown);
    let first = run_job("fraud_velocity.sql", &define, Setting::of_workers(1));
    let features = model::velocity(&payments);
    assert_rows("alerts", &table(&first, "alerts"), model::alerts(&features));
    assert_rows("bursts_by_day", &table(&first, "bursts_by_day"), model::bursts_by_day(&features));
    assert_rows("late_payments", &table(&first, "late_payments"), model::late_payments(&payments));
    assert!(table(&first, "alerts").len() > 500, "the rules must fire for the comparison to say something");
    assert_equal_everywhere("fraud_velocity.sql", &define, &folder, &first);
}

/// The job's digests at every setting, and from the files of the same payments, are those of its first run.
fn assert_equal_everywhere(job: &str, define: &[(String, String)], folder: &TempDir, first: &Outcome) {
    for setting in settings() {
        let again = run_job(job, define, setting);
        assert_eq!(digests(&again), digests(first), "{setting:?}");
    }
    let from_files = run_job(job, &from_files(define, folder), Setting::of_workers(2));
    assert_eq!(digests(&from_files), digests(first), "from the files of the same payments");
}

/// The same definitions, but for payments that are read from the files of a folder.
fn from_files(define: &[(String, String)], folder: &TempDir) -> Vec<(String, String)> {
    let pair = |k: &str, v: &str| (format!("payments.{k}"), v.to_string());
    let others = define.iter().filter(|(k, _)| !k.starts_with("payments.")).cloned();
    // Without a header positions would count, and the job declares only the columns it needs.
    let files = [
        pair("connector", "filesystem"),
        pair("path", &folder.path().display().to_string()),
        pair("format", "csv"),
        pair("csv.header", "true"),
    ];
    others.chain(files).collect()
}

/// Few keys and much disorder: what a payment sees depends on when it came. Some are behind the shorter horizon.
const ARRIVING: [(&str, &str); 7] = [
    ("event-rate", "2"),
    ("cards", "10000"),
    ("merchants", "500"),
    ("devices", "12000"),
    ("disorder", "0.3"),
    ("late-share", "0.05"),
    ("late-max", "90 s"),
];

#[test]
fn fraud_velocity_on_arrival_is_the_naive_model_at_any_setting() {
    let rows = 60_000;
    let (folder, payments) = payments_of(rows, &ARRIVING);
    let shown = ["alerts", "bursts_by_day", "late_payments"];
    let mut define = on_generator(&shown);
    define.extend(ARRIVING.iter().map(|(k, v)| (format!("payments.{k}"), v.to_string())));
    define.extend([("payments.number-of-rows".into(), rows.to_string()), ("alerts.emit".into(), "arrival".into())]);
    let on_final = model::velocity(&payments);
    let defaults = (1_000, 3_600_000);
    for (quantum_ms, horizon_ms) in [defaults, (60_000, 30_000)] {
        let mut define = define.clone();
        if (quantum_ms, horizon_ms) != defaults {
            define.push(("arrival.quantum".into(), format!("{quantum_ms} ms")));
            define.push(("arrival.late-horizon".into(), format!("{horizon_ms} ms")));
        }
        let first = run_job("fraud_velocity.sql", &define, Setting::of_workers(1));
        let features = model::velocity_on_arrival(&payments, quantum_ms, horizon_ms);
        let expected = model::alerts(&features);
        assert!(expected.len() > 500, "the rules must fire for the comparison to say something");
        assert_ne!(expected, model::alerts(&on_final), "the emission must matter");
        assert_eq!(
            features.len() < payments.len(),
            horizon_ms == 30_000,
            "payments behind the shorter horizon, none behind the other"
        );
        assert_rows(&format!("alerts, cuts of {quantum_ms} ms"), &table(&first, "alerts"), expected);
        assert_rows("bursts_by_day", &table(&first, "bursts_by_day"), model::bursts_by_day(&on_final));
        assert_rows("late_payments", &table(&first, "late_payments"), model::late_payments(&payments));
        assert_equal_everywhere("fraud_velocity.sql", &define, &folder, &first);
    }
}

#[test]
fn merchant_throughput_is_the_naive_model_at_any_setting() {
    let (folder, payments) = payments();
    let define = on_generator(&["merchant_minutes", "merchant_hours", "late_payments"]);
    let first = run_job("merchant_throughput.sql", &define, Setting::of_workers(1));
    assert_rows("minutes", &table(&first, "merchant_minutes"), model::merchants(&payments, 60_000));
    assert_rows("hours", &table(&first, "merchant_hours"), model::merchants(&payments, 3_600_000));
    let late = model::late_payments(&payments).len();
    assert!(late > 0 && table(&first, "late_payments").len() == late, "late payments");
    assert_equal_everywhere("merchant_throughput.sql", &define, &folder, &first);
}

/// What a live job said is what a replay of its payments says, to the digest.
#[test]
fn a_replay_of_history_says_what_the_live_jobs_said() {
    let (folder, _) = payments();
    let all = |job: &str| run_job(job, &from_files(&[], &folder), Setting::of_workers(2));
    let live = [all("fraud_velocity.sql"), all("merchant_throughput.sql")];
    let again = digests(&run_history(TimeRange::ALL, &from_files(&[], &folder), Setting::of_workers(1)));
    for name in ["alerts", "merchant_minutes", "merchant_hours"] {
        let of = |all: &[(String, u64, Digest)]| all.iter().find(|d| d.0 == name).cloned();
        let said = live.iter().find_map(|job| of(&digests(job)));
        assert!(said.as_ref().is_some_and(|d| d.1 > 500), "{name}");
        assert_eq!(of(&again), said);
    }
}

const HISTORY: [&str; 5] = ["alerts", "bursts_by_hour", "merchant_minutes", "merchant_hours", "late_payments"];

/// `replay_history.sql` over a part of history.
fn run_history(range: TimeRange, define: &[(String, String)], setting: Setting) -> Outcome {
    let wanted = Replay {
        from_ms: Some(range.from_ms).filter(|t| *t != i64::MIN),
        to_ms: Some(range.to_ms).filter(|t| *t != i64::MAX),
        warmup_ms: None,
    };
    replay(&job_text("replay_history.sql"), &borrowed(define), wanted, setting)
        .unwrap_or_else(|e| panic!("{range:?} {setting:?}: {e}"))
}

#[test]
fn replay_history_is_the_naive_model_whole_and_in_part() {
    let (folder, payments) = payments();
    let features = model::velocity(&payments);
    let start_ms = 1_767_225_600_000;
    // On the edges of windows and off them; with less and with more history before it than the job looks back.
    let parts = [
        (TimeRange::ALL, &settings()[..]),
        (TimeRange { from_ms: start_ms + 6 * 3_600_000, to_ms: start_ms + 12 * 3_600_000 }, &settings()[1..2]),
        (TimeRange { from_ms: start_ms + 91_234_567, to_ms: i64::MAX }, &settings()[3..4]),
    ];
    let on_generator = on_generator(&HISTORY);
    let on_files = from_files(&on_generator, &folder);
    for (range, settings) in parts {
        let first = run_history(range, &on_generator, Setting::of_workers(1));
        for (name, expected) in model::history::tables(&payments, &features, range) {
            assert!(!expected.is_empty(), "{name} of {range:?} must have rows for the comparison to say something");
            assert_rows(&format!("{name} of {range:?}"), &table(&first, name), expected);
        }
        for &setting in settings {
            let again = run_history(range, &on_generator, setting);
            assert_eq!(digests(&again), digests(&first), "{range:?} {setting:?}");
        }
        let from_files = run_history(range, &on_files, Setting::of_workers(2));
        assert_eq!(digests(&from_files), digests(&first), "{range:?} from the files of the same payments");
    }
}
