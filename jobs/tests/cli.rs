//! The binary as users meet it: output, exit codes, signals, full disks.

#![allow(unsafe_code)] // a signal to a child, a file size limit in a child: libc calls without a safe wrapper here

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const JOB: &str = "
CREATE TABLE payments (
  payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, amount DECIMAL(12, 2),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'generator', 'number-of-rows' = '50000', 'cards' = '1000');
CREATE TABLE minutes (window_start TIMESTAMP(3), window_end TIMESTAMP(3), merchant BIGINT, n BIGINT)
  WITH ('connector' = 'blackhole');
CREATE TABLE velocity (ts TIMESTAMP(3), payment_id BIGINT, n BIGINT) WITH ('connector' = 'table', 'max-rows' = '3');
INSERT INTO minutes SELECT window_start, window_end, merchant, COUNT(*)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, merchant;
INSERT INTO velocity SELECT ts, payment_id, COUNT(*) OVER (PARTITION BY card ORDER BY ts
  RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) FROM payments;
";

fn highwater(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(highwater(folder, arguments).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("job.sql"), JOB).unwrap();
    folder
}

#[test]
fn a_run_ends_with_tables_and_digests_and_writes_its_summary() {
    let folder = folder();
    let (code, out, err) = run(folder.path(), &["run", "job.sql", "--summary", "a.json"]);
    assert_eq!(code, 0, "{err}");
    for words in ["velocity: the first 3 of", "payment_id", "payments", "digest", "rows/s"] {
        assert!(out.contains(words), "expected {words:?} in:\n{out}");
    }
    assert!(err.contains("late rows of payments") && err.contains("payments$late"), "{err}");
    assert!(!err.contains("rows/s"), "progress is quiet where stderr is no terminal: {err}");
    let summary: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("a.json")).unwrap()).unwrap();
    let keys: Vec<&String> = summary.as_object().unwrap().keys().collect();
    for key in ["elapsed_s", "rows_per_s", "peak_rss_bytes", "sources", "sinks", "latency_ms"] {
        assert!(keys.iter().any(|k| *k == key), "{key} is missing");
    }
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert!(summary["latency_ms"].is_null(), "a bounded run as fast as it can has no latency");
    let source = &summary["sources"][0];
    assert_eq!((source["name"].as_str(), source["rows"].as_u64()), (Some("payments"), Some(50_000)));
    assert!(source["late"].as_u64() > Some(0) && source["errors"].as_u64() == Some(0) && source["bytes"].is_u64());
    let sink = &summary["sinks"].as_array().unwrap().iter().find(|s| s["name"] == "minutes").unwrap();
    let digest = sink["digest"].as_str().unwrap();
    assert!(digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
    let width = sink["buckets"]["width_ms"].as_i64().unwrap();
    assert!(width % 1000 == 0 && (width / 1000).count_ones() == 1);
    let buckets = sink["buckets"]["rows"].as_array().unwrap();
    let rows: u64 = buckets.iter().map(|b| b[1].as_u64().unwrap()).sum();
    assert_eq!(Some(rows), sink["rows"].as_u64());
    assert!(buckets.iter().all(|b| b[2].as_str().unwrap().len() == 32));
}

#[test]
fn compare_finds_two_settings_equal_and_two_seeds_different() {
    let folder = folder();
    let sets = [
        &["run", "job.sql", "--summary", "a.json"][..],
        &["run", "job.sql", "--summary", "b.json", "--workers", "2", "-D", "pipeline.batch-size=100"],
        &["run", "job.sql", "--summary", "c.json", "-D", "payments.seed=7"],
    ];
    for arguments in sets {
        let (code, _, err) = run(folder.path(), arguments);
        assert_eq!(code, 0, "{err}");
    }
    let (code, out, err) = run(folder.path(), &["compare", "a.json", "b.json"]);
    assert_eq!((code, out.starts_with("equal: ")), (0, true), "{out}{err}");
    let (code, out, _) = run(folder.path(), &["compare", "a.json", "c.json"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("different: sink ") && out.contains("event time 2026-01-01 00:00:"), "{out}");
    let (code, _, err) = run(folder.path(), &["compare", "a.json", "b.json", "--from", "2026-01-01T00:00:00.500"]);
    assert_eq!(code, 2);
    assert!(err.contains("folders"), "{err}");
}

#[test]
fn folders_of_outputs_compare_row_by_row_on_any_range() {
    let folder = folder();
    for (out, format, workers, more) in [
        ("a", "csv", "1", ""),
        ("b", "csv", "2", ""),
        ("c", "csv", "1", "payments.seed=7"),
        ("p", "parquet", "1", ""),
        ("q", "parquet", "2", ""),
        ("j", "json", "1", ""),
        ("k", "json", "2", ""),
    ] {
        let path = format!("minutes.path={out}");
        let format = format!("minutes.format={format}");
        let mut arguments =
            vec!["run", "job.sql", "-w", workers, "-D", "minutes.connector=filesystem", "-D", &path, "-D", &format];
        if !more.is_empty() {
            arguments.extend(["-D", more]);
        }
        let (code, _, err) = run(folder.path(), &arguments);
        assert_eq!(code, 0, "{err}");
    }
    let range = ["--from", "2026-01-01T00:01:30", "--to", "2026-01-01T00:05:30"];
    for (a, b) in [("a", "b"), ("p", "q"), ("j", "k")] {
        let (code, out, err) = run(folder.path(), &["compare", a, b]);
        assert_eq!(code, 0, "{out}{err}");
        let all: u64 = out.split_whitespace().nth(1).unwrap().parse().unwrap();
        let (code, out, err) = run(folder.path(), &[&["compare", a, b], &range[..]].concat());
        assert_eq!(code, 0, "{out}{err}");
        let part: u64 = out.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(0 < part && part < all, "{part} of {all}");
    }
    let (code, out, _) = run(folder.path(), &["compare", "a", "c"]);
    assert_eq!(code, 1);
    assert!(out.contains("only in A") && out.contains("2026-01-01 00:00:00"), "{out}");
}

#[test]
fn files_of_generated_payments_give_what_the_generator_gives() {
    let folder = folder();
    for format in ["parquet", "csv", "json"] {
        let generate = ["generate", "--rows", "50000", "--partitions", "8", "--format", format, "--out", format];
        let more: &[&str] = if format == "csv" { &["-D", "csv.header=true"] } else { &[] };
        let (code, out, err) = run(folder.path(), &[&generate[..], &["-D", "cards=1000"], more].concat());
        assert_eq!(code, 0, "{err}");
        assert!(out.starts_with("50,000 payments in 8 files"), "{out}");
        assert_eq!(std::fs::read_dir(folder.path().join(format)).unwrap().count(), 8);
    }
    let (code, ..) = run(folder.path(), &["run", "job.sql", "--summary", "generator.json"]);
    assert_eq!(code, 0);
    for format in ["parquet", "csv", "json"] {
        let path = format!("payments.path={format}");
        let option = format!("payments.format={format}");
        let summary = format!("{format}.json");
        let mut arguments = vec!["run", "job.sql", "--summary", &summary, "-D", "payments.connector=filesystem"];
        arguments.extend(["-D", &path, "-D", &option]);
        if format == "csv" {
            arguments.extend(["-D", "payments.csv.header=true"]);
        }
        let (code, _, err) = run(folder.path(), &arguments);
        assert_eq!(code, 0, "{err}");
        let (code, out, err) = run(folder.path(), &["compare", "generator.json", &summary]);
        assert_eq!(code, 0, "{format}: {out}{err}");
    }
}

#[test]
fn settings_come_from_flag_environment_file_and_toml_in_that_order() {
    let folder = folder();
    std::fs::write(folder.path().join("set.sql"), format!("SET 'parallelism.default' = '5';{JOB}")).unwrap();
    std::fs::write(folder.path().join("highwater.toml"), "[parallelism]\ndefault = 2\n").unwrap();
    let workers = |job: &str, environment: Option<&str>, define: &[&str]| {
        let mut command = highwater(folder.path(), &["explain", job, "--format", "json"]);
        command.args(define).envs(environment.map(|v| ("HIGHWATER_PARALLELISM_DEFAULT", v)));
        let (code, out, err) = ended(command.output().unwrap());
        assert_eq!(code, 0, "{err}");
        let graph: serde_json::Value = serde_json::from_str(&out).unwrap();
        graph["settings"]["parallelism.default"].as_str().unwrap().to_owned()
    };
    assert_eq!(workers("job.sql", None, &[]), "2", "TOML");
    assert_eq!(workers("set.sql", None, &[]), "5", "SET beats TOML");
    assert_eq!(workers("set.sql", Some("3"), &[]), "3", "the environment beats SET");
    assert_eq!(workers("set.sql", Some("3"), &["-D", "parallelism.default=4"]), "4", "a flag beats all");
    std::fs::write(folder.path().join("highwater.toml"), "[paralelism]\ndefault = 2\n").unwrap();
    let (code, _, err) = run(folder.path(), &["validate", "job.sql"]);
    assert!(code == 2 && err.contains("did you mean parallelism.default?"), "{err}");
}

#[test]
fn variables_that_are_not_utf8_are_named_if_they_are_ours() {
    use std::os::unix::ffi::OsStrExt;
    let (folder, bytes) = (folder(), std::ffi::OsStr::from_bytes(b"\xff"));
    for (variable, expected) in [("FOREIGN", 0), ("HIGHWATER_PARALLELISM_DEFAULT", 2)] {
        let mut command = highwater(folder.path(), &["validate", "job.sql"]);
        let (code, _, err) = ended(command.env(variable, bytes).output().unwrap());
        assert_eq!(code, expected, "{err}");
        assert_eq!(err.contains("HIGHWATER_PARALLELISM_DEFAULT: its value is not UTF-8"), expected == 2, "{err}");
    }
}

/// What a run writes to the terminal that is its stderr.
fn on_a_terminal(folder: &Path, arguments: &[&str]) -> String {
    use std::io::Read;
    use std::os::fd::FromRawFd;
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: all pointers are of live values or null, which openpty allows for the name and the settings.
    let opened = unsafe { libc::openpty(&mut ours, &mut theirs, std::ptr::null_mut(), std::ptr::null_mut(), &size) };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: both were just opened, and nobody else has them.
    let (mut ours, theirs) = unsafe { (std::fs::File::from_raw_fd(ours), std::fs::File::from_raw_fd(theirs)) };
    let mut command = highwater(folder, arguments);
    command.env("TERM", "xterm").stdout(Stdio::null()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // Its end of the terminal is closed when it ends.
    drop(command);
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = ours.read(&mut piece) {
        text.extend_from_slice(&piece[..n]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_terminal_shows_progress() {
    let folder = folder();
    let shown = on_a_terminal(folder.path(), &["run", "job.sql", "-D", "payments.rows-per-second=40000"]);
    for words in ["of 50,000 rows (", " %), ", " rows/s, event time 2026-01-01", "watermark ", " behind"] {
        assert!(shown.contains(words), "expected {words:?} in:\n{shown}");
    }
    let positions = shown.split(" of 50,000 rows").filter_map(|before| before.rsplit([' ', '\r', 'K']).next());
    let positions: std::collections::BTreeSet<&str> = positions.collect();
    assert!(positions.len() >= 3, "it moves: {positions:?}");
}

#[test]
fn a_run_that_waits_for_its_input_measures_latency() {
    let folder = folder();
    let latency = |file: &str, more: &[&str]| {
        let (code, _, err) = run(folder.path(), &[&["run", "job.sql", "--summary", file][..], more].concat());
        assert_eq!(code, 0, "{err}");
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["latency_ms"].clone()
    };
    assert!(latency("fast.json", &[]).is_null(), "as fast as it goes, latency says nothing");
    let paced = latency("paced.json", &["-D", "payments.rows-per-second=100000"]);
    let of = |quantile: &str| paced[quantile].as_f64().unwrap_or_else(|| panic!("{quantile} is missing in {paced}"));
    assert!(0.0 < of("p50") && of("p50") <= of("p99") && of("p99") <= of("p999") && of("p999") <= of("max"), "{paced}");
    assert!(of("max") < 60_000.0, "{paced}");
}

#[test]
fn a_table_without_a_connector_is_told_of_all_of_them() {
    let folder = folder();
    std::fs::write(folder.path().join("bare.sql"), "CREATE TABLE t (a INT) WITH ('path' = 'x');").unwrap();
    let (code, _, err) = run(folder.path(), &["validate", "bare.sql"]);
    assert_eq!(code, 2, "{err}");
    let (sources, sinks) = (highwater_connectors::SOURCES, highwater_connectors::SINKS);
    for connector in sources.iter().chain(&sinks) {
        assert!(err.contains(&format!("'{connector}'")), "{connector} is missing in:\n{err}");
    }
}

#[test]
fn any_seed_generates_other_rows() {
    let folder = folder();
    let digest = |seed: &str| {
        let out = format!("seed{seed}");
        let arguments = ["generate", "--rows", "50", "--format", "csv", "--out", &out, "--seed", seed];
        let (code, _, err) = run(folder.path(), &arguments);
        assert_eq!(code, 0, "{err}");
        let files = std::fs::read_dir(folder.path().join(&out)).unwrap().map(|f| f.unwrap().path());
        let mut texts: Vec<String> = files.map(|f| std::fs::read_to_string(f).unwrap_or_default()).collect();
        texts.sort();
        texts
    };
    let all = ["-1", "1", "-9223372036854775808"].map(digest);
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
}

#[test]
fn bad_usage_and_bad_sql_are_exit_code_two() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.sql"), JOB.replace("COUNT(*) OVER", "COUNTT(*) OVER")).unwrap();
    std::fs::write(folder.path().join("latin1.sql"), b"-- caf\xe9\nSELECT 1;").unwrap();
    for (arguments, says) in [
        (&["run"][..], "JOB.sql"),
        (&["run", "nothing.sql"], "nothing.sql"),
        (&["run", "."], "give a file"),
        (&["run", "bad.sql"], "bad.sql:11:"),
        (&["run", "latin1.sql"], "latin1.sql:1"),
        (&["run", "job.sql", "-D", "payments.nubmer-of-rows=1"], "number-of-rows"),
        (&["run", "job.sql", "-D", "paymnts.seed=1"], "paymnts"),
        (&["run", "job.sql", "--workers", "0"], "parallelism.default"),
        (&["replay", "job.sql", "--from", "yesterday"], "yesterday"),
        (&["replay", "job.sql", "--from", "2", "--to", "1"], "not before"),
        (&["replay", "job.sql", "--warmup", "1 h"], "--from"),
        (&["compare", "job.sql", "job.sql"], "not a summary"),
        (&["compare", "job.sql", "."], "two summaries or two folders"),
        (&["generate", "--rows", "1", "--out", "x", "-D", "nothing=1"], "nothing"),
        (&["generate", "--rows", "1", "--out", "x", "--format", "xml"], "xml"),
        (&["generate", "--rows", "1", "--out", "x", "--seed", "18446744073709551615"], "--seed"),
        (&["run", "job.sql", "-D", "payments.scan.files.open-max=0"], "a number from 1 to 1024, not '0'"),
        (&["explode"], "explode"),
    ] {
        let (code, out, err) = run(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?}: {out}{err}");
        assert!(err.contains(says), "{arguments:?}: expected {says:?} in:\n{err}");
    }
    assert!(!folder.path().join("x").exists(), "a refused generate makes no folder");
}

#[test]
fn validate_and_explain_show_the_job() {
    let folder = folder();
    let (code, out, err) = run(folder.path(), &["validate", "job.sql"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("a valid job"), "{out}");
    let (code, out, err) = run(folder.path(), &["explain", "job.sql"]);
    assert_eq!(code, 0, "{err}");
    for words in ["payments", "card", "merchant", "W"] {
        assert!(out.contains(words), "{out}");
    }
    let (code, out, err) = run(folder.path(), &["explain", "job.sql", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let graph: serde_json::Value = serde_json::from_str(&out).unwrap();
    let nodes = graph["nodes"].as_array().unwrap();
    assert!(nodes.len() >= 5);
    let flow = |step: &str| {
        let node = nodes.iter().position(|n| n["step"].get(step).is_some()).unwrap();
        graph["flow"][node].clone()
    };
    assert_eq!(flow("Over")["exchange"], serde_json::json!(["card"]));
    assert_eq!(flow("Window")["exchange"], serde_json::json!(["merchant"]));
    assert_eq!((&flow("Source")["exchange"], flow("Source")["w_out"].as_str()), (&serde_json::Value::Null, Some("W")));
    let (code, dot, err) = run(folder.path(), &["explain", "job.sql", "--format", "dot"]);
    assert_eq!(code, 0, "{err}");
    let edges: usize = nodes.iter().map(|n| n["inputs"].as_array().unwrap().len()).sum();
    assert_eq!((dot.matches("label=<<b>").count(), dot.matches(" -> ").count()), (nodes.len(), edges), "{dot}");
    for verb in ["run", "replay", "validate", "explain", "generate", "compare"] {
        let (code, out, _) = run(folder.path(), &[verb, "--help"]);
        assert!(code == 0 && out.contains("Example"), "{verb} --help has examples");
    }
}

#[test]
fn an_endless_job_needs_a_word_and_ends_on_a_signal() {
    let folder = folder();
    std::fs::write(folder.path().join("endless.sql"), JOB.replace("'number-of-rows' = '50000', ", "")).unwrap();
    let (code, _, err) = run(folder.path(), &["run", "endless.sql"]);
    assert!(code == 2 && err.contains("--ephemeral"), "{err}");
    let endless = ["run", "endless.sql", "--ephemeral", "--workers", "2", "-D", "minutes.connector=filesystem"];
    let more = ["-D", "minutes.path=out", "-D", "minutes.format=csv"];
    for (signal, expected) in [(libc::SIGINT, 130), (libc::SIGTERM, 143), (libc::SIGHUP, 129)] {
        if is_ignored(signal) {
            eprintln!("SKIPPED: signal {signal} is ignored here (nohup), so a job ignores it too");
            continue;
        }
        let child = start(folder.path(), &[&endless[..], &more].concat());
        wait_for_staged_rows(folder.path());
        kill(&child, signal);
        let asked = Instant::now();
        let (code, _, err) = ended(child.wait_with_output().unwrap());
        assert_eq!(code, expected, "{err}");
        assert!(err.contains("interrupted"), "{err}");
        assert!(asked.elapsed() < Duration::from_secs(60), "it ends when asked, it doesn't hang");
        assert_nothing_is_shown(&folder.path().join("out"));
        assert!(!folder.path().join(".out.staging").exists(), "what was staged is removed");
    }
}

/// Three seconds of payments, as fast as it goes and twice as fast as they came.
#[test]
fn a_paced_replay_takes_its_time_and_gives_the_same_digests() {
    let folder = folder();
    let rows = ["-D", "payments.number-of-rows=3000", "-D", "payments.event-rate=1000"];
    let replay = |more: &[&str]| {
        let since = Instant::now();
        let (code, _, err) = run(folder.path(), &[&["replay", "job.sql"], &rows[..], more].concat());
        assert_eq!(code, 0, "{err}");
        since.elapsed()
    };
    replay(&["--speed", "max", "--summary", "max.json"]);
    let paced = replay(&["--speed", "2x", "--workers", "2", "--summary", "paced.json"]);
    assert!(paced > Duration::from_millis(1_300), "{paced:?} for three seconds of event time");
    let (code, out, err) = run(folder.path(), &["compare", "max.json", "paced.json"]);
    assert_eq!(code, 0, "{out}{err}");
    for wrong in ["", "x", "0x", "-1x", "10", "NaNx"] {
        let (code, _, err) = run(folder.path(), &["replay", "job.sql", &format!("--speed={wrong}")]);
        assert!(code == 2 && err.contains("as in 1x"), "{wrong}: {err}");
    }
    if is_ignored(libc::SIGINT) {
        return eprintln!("SKIPPED: SIGINT is ignored here (nohup), so a job ignores it too");
    }
    let child = start(folder.path(), &["replay", "job.sql", "--speed", "0.001x", "--workers", "2"]);
    std::thread::sleep(Duration::from_secs(1));
    kill(&child, libc::SIGINT);
    let asked = Instant::now();
    assert_eq!(ended(child.wait_with_output().unwrap()).0, 130);
    assert!(asked.elapsed() < Duration::from_secs(10), "it ends while its rows wait");
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: nothing is set, and what is found is written to a whole value.
    unsafe {
        let mut found = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(signal, std::ptr::null(), &mut found) == 0 && found.sa_sigaction == libc::SIG_IGN
    }
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    highwater(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn kill(child: &Child, signal: i32) {
    // SAFETY: the child has not been waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// Waits until a running job has staged a part with rows for `out`.
fn wait_for_staged_rows(folder: &Path) {
    let since = Instant::now();
    loop {
        let parts = std::fs::read_dir(folder.join(".out.staging/parts")).into_iter().flatten().flatten();
        if parts.filter_map(|p| p.metadata().ok()).any(|m| m.len() > 0) {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "nothing was staged");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_a_killed_run_staged_is_cleaned_by_the_next() {
    let folder = folder();
    std::fs::write(folder.path().join("endless.sql"), JOB.replace("'number-of-rows' = '50000', ", "")).unwrap();
    let to = |path: &'static str| ["-D", "minutes.connector=filesystem", "-D", "minutes.format=csv", "-D", path];
    let endless = ["run", "endless.sql", "--ephemeral", "--workers", "2"];
    let mut child = start(folder.path(), &[&endless[..], &to("minutes.path=out")].concat());
    wait_for_staged_rows(folder.path());
    let (code, _, err) = run(folder.path(), &[&["run", "job.sql"][..], &to("minutes.path=out")].concat());
    assert!(code != 0 && err.contains("out"), "two running jobs don't write one folder: {err}");
    kill(&child, libc::SIGKILL);
    child.wait().unwrap();
    assert!(folder.path().join(".out.staging/parts").exists(), "nobody could clean up");
    assert!(!folder.path().join("out").exists());

    for path in ["minutes.path=out", "minutes.path=undisturbed"] {
        let (code, _, err) = run(folder.path(), &[&["run", "job.sql"][..], &to(path)].concat());
        assert_eq!(code, 0, "{err}");
    }
    assert!(!folder.path().join(".out.staging").exists());
    let (code, out, err) = run(folder.path(), &["compare", "out", "undisturbed"]);
    assert!(code == 0 && out.starts_with("equal: "), "{out}{err}");
}

fn assert_nothing_is_shown(out: &Path) {
    if let Ok(entries) = std::fs::read_dir(out) {
        let left: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_shown() {
    let folder = folder();
    for format in ["csv", "json", "parquet"] {
        let option = format!("velocity.format={format}");
        let mut command = highwater(folder.path(), &["run", "job.sql", "-D", "velocity.connector=filesystem"]);
        command.args(["-D", "velocity.path=out", "-D", &option]);
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit { rlim_cur: 20_000, rlim_max: 20_000 };
                match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            })
        };
        let (code, _, err) = ended(command.output().unwrap());
        assert_eq!(code, 1, "{format}: {err}");
        assert!(err.contains("sink velocity") && err.contains("out"), "{format}: {err}");
        assert_nothing_is_shown(&folder.path().join("out"));
    }
}

#[test]
fn a_full_device_is_an_error() {
    let folder = folder();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let printing = ["run", "job.sql", "-D", "velocity.connector=print"];
    let (code, _, err) = ended(highwater(folder.path(), &printing).stdout(full()).output().unwrap());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("velocity"), "{err}");
    let (code, _, err) = ended(highwater(folder.path(), &["run", "job.sql"]).stdout(full()).output().unwrap());
    assert_eq!(code, 1, "the report can't be written: {err}");
    let (code, _, err) = run(folder.path(), &["run", "job.sql", "--summary", "/dev/full"]);
    assert!(code == 1 && err.contains("/dev/full"), "{err}");
}

#[test]
fn what_a_run_finds_wrong_with_a_table_is_told_with_its_place_in_the_text() {
    let folder = folder();
    let job = "CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH (
  'connector' = 'kafka', 'topic' = 'payments', 'format' = 'json', 'scan.bounded.mode' = 'latest-offset',
  'properties.bootstrap.servers' = 'localhost:1', 'properties.security.protocol' = 'SSL',
  'properties.ssl.ca.location' = 'missing.pem');
CREATE TABLE o (ts TIMESTAMP(3)) WITH ('connector' = 'blackhole');
INSERT INTO o SELECT ts FROM t;";
    std::fs::write(folder.path().join("job.sql"), job).unwrap();
    let (code, _, err) = run(folder.path(), &["run", "job.sql"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("job.sql:4:3: table t: properties.ssl.ca.location: ") && err.contains("missing.pem"), "{err}");
}

#[test]
fn a_replay_does_not_write_to_the_topic_of_the_live_job() {
    let folder = folder();
    let kafka = JOB.replace(
        "'connector' = 'blackhole'",
        "'connector' = 'kafka', 'topic' = 'live', 'format' = 'json',
  'properties.bootstrap.servers' = 'localhost:1'",
    );
    std::fs::write(folder.path().join("job.sql"), kafka).unwrap();
    let (code, _, err) = run(folder.path(), &["replay", "job.sql", "--from", "2026-01-01T00:10:00Z"]);
    assert!(code == 2 && err.contains("-D minutes.connector=blackhole"), "{err}");
    let elsewhere = ["replay", "job.sql", "--from", "2026-01-01T00:10:00Z", "-D", "minutes.connector=blackhole"];
    let (code, _, err) = run(folder.path(), &elsewhere);
    assert_eq!(code, 0, "{err}");
}
