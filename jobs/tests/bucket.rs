//! State in a bucket as users meet it: every verb takes its address, what goes wrong is said or waited out, and of two
//! processes one ends. Each test starts the real binary, and a server that speaks S3.

#[path = "state/job.rs"]
mod job;
#[allow(dead_code)]
#[path = "../../tests/src/s3/mod.rs"]
mod s3;

use job::{FAST, JOB, PATIENCE};
use s3::{Fault, KEY_ID, S3Server, SECRET};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const RUN: [&str; 4] = ["run", "job.sql", "--state", "s3://jobs/live"];
/// No output that keeps a second process out by itself.
const QUIET: [&str; 2] = ["-D", "busy.connector=blackhole"];

/// A job in a folder of its own, and a bucket.
struct Bench {
    folder: tempfile::TempDir,
    server: S3Server,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), server: S3Server::start() };
        fs::write(bench.path("job.sql"), JOB).unwrap();
        bench
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        command.env_remove("http_proxy").env_remove("HTTP_PROXY").envs(self.server.environment());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }
    /// A call that must end well; its stdout.
    fn ends(&self, arguments: &[&str]) -> String {
        let (code, out, err) = ended(self.command(arguments).output().unwrap());
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }
    fn runs(&self, arguments: &[&str]) -> String {
        self.ends(&[arguments, &FAST].concat())
    }
    /// A call that must be refused with this code and these words.
    fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) {
        refused(self.command(arguments), code, words);
    }
    /// Waits until the newest checkpoint of the job is this one or a later one.
    fn wait_for(&self, child: &mut Child, checkpoint: u64) {
        let since = Instant::now();
        while self.newest("live") < checkpoint {
            assert!(child.try_wait().unwrap().is_none(), "the job ended before checkpoint {checkpoint}");
            assert!(since.elapsed() < PATIENCE, "checkpoint {checkpoint} was not taken in time");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    fn newest(&self, prefix: &str) -> u64 {
        let keys = self.server.keys(&format!("{prefix}/"));
        let number = |key: &String| key.strip_suffix(".manifest")?.rsplit('/').next()?.parse().ok();
        keys.iter().filter_map(number).max().unwrap_or(0)
    }
    /// The visible rows, sorted.
    fn rows(&self) -> Vec<String> {
        let files = fs::read_dir(self.path("out")).unwrap().map(|e| e.unwrap().path());
        let texts = files.filter(|p| p.extension().is_some_and(|e| e == "csv")).map(|p| fs::read_to_string(p).unwrap());
        let mut rows: Vec<String> = texts.flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        rows.sort_unstable();
        rows
    }
}

fn refused(mut command: Command, code: i32, words: &[&str]) {
    let (found, out, err) = ended(command.output().unwrap());
    assert_eq!(found, code, "{command:?}: {out}{err}");
    for word in words {
        assert!(err.contains(word), "{command:?}: expected {word:?} in:\n{err}");
    }
    assert!(!err.contains(SECRET), "{err}");
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The lines with a digest.
fn digests(out: &str) -> Vec<String> {
    let is_digest = |w: &str| w.len() == 32 && w.bytes().all(|b| b.is_ascii_hexdigit());
    out.lines().filter(|l| l.split_whitespace().any(is_digest)).map(str::to_owned).collect()
}

/// Digests and rows of an undisturbed run that keeps nothing.
fn truth() -> (Vec<String>, Vec<String>) {
    let bench = Bench::new();
    let out = bench.runs(&["run", "job.sql"]);
    assert_eq!(digests(&out).len(), 2, "{out}");
    (digests(&out), bench.rows())
}

#[test]
fn every_verb_takes_an_address() {
    let truth = truth();
    let bench = Bench::new();
    let mut child = bench.start(&RUN);
    bench.wait_for(&mut child, 2);
    bench.ends(&["verify", "s3://jobs/live"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(bench.ends(&["verify", "s3://jobs/live"]).contains("damaged      0"));
    bench.ends(&["validate", "job.sql", "--against", "s3://jobs/live"]);
    let (saved, moved) = ("s3://jobs/saved/monday", "s3://jobs/moved");
    assert!(bench.ends(&["savepoint", "--state", RUN[3], saved]).contains(&format!("is in {saved}")));
    bench.refused(&["savepoint", "--state", RUN[3], saved], 2, &[saved, "is not empty"]);
    let folder = format!("file://{}", bench.path("saved").display());
    bench.ends(&["savepoint", "--state", saved, &folder]);
    bench.ends(&["verify", "saved"]);
    bench.ends(&["validate", "job.sql", "--against", &folder]);
    // From a savepoint in a folder, in another bucket's folder, with another number of workers; killed once more.
    let mut child = bench.start(&["run", "job.sql", "--state", moved, "--from-savepoint", &folder, "--workers", "2"]);
    let (since, begun) = (Instant::now(), bench.newest("live"));
    while bench.newest("moved") <= begun {
        assert!(child.try_wait().unwrap().is_none() && since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    bench.refused(&["run", "job.sql", "--state", moved, "--from-savepoint", saved], 2, &["holds checkpoint"]);
    let out = bench.runs(&["run", "job.sql", "-D", "state.dir=s3://jobs/moved/"]);
    assert!(out.contains("went on from checkpoint "), "{out}");
    assert_eq!((digests(&out), bench.rows()), truth);
    // What was overtaken by its copy says so, as in a folder.
    bench.refused(&RUN, 1, &["has shown checkpoint", "rolled back"]);
}

/// Two processes with one state: whoever comes second to a checkpoint is told so and ends, the other's output is right.
#[test]
fn of_two_processes_one_ends() {
    let bench = Bench::new();
    let whole = digests(&bench.runs(&[&["run", "job.sql"], &QUIET[..]].concat()));
    let run = [&RUN[..], &QUIET].concat();
    let mut first = bench.start(&run);
    bench.wait_for(&mut first, 3);
    let second = bench.start(&run);
    let outcomes = [first, second].map(|child| ended(child.wait_with_output().unwrap()));
    let (well, fenced): (Vec<_>, Vec<_>) = outcomes.iter().partition(|(code, ..)| *code == 0);
    let ([(_, out, _)], [(1, _, err)]) = (&well[..], &fenced[..]) else { panic!("{outcomes:?}") };
    assert!(err.contains("another process has taken this job over: checkpoint "), "{err}");
    assert_eq!(digests(out), whole);
    assert!(bench.ends(&["verify", "s3://jobs/live"]).contains("damaged      0"));
}

/// A process is out of reach for a while, as in a network that is cut in two; its successor has ended the job meanwhile.
#[test]
fn who_comes_back_to_a_job_that_went_on_ends() {
    let bench = Bench::new();
    let whole = digests(&bench.runs(&[&["run", "job.sql"], &QUIET[..]].concat()));
    let run = [&RUN[..], &QUIET].concat();
    bench.server.fail("PUT", "live/000000000003.manifest", 1, Fault::HoldBefore);
    let first = bench.start(&run);
    bench.server.wait_for_faults(1);
    let out = bench.runs(&run);
    assert!(out.contains("went on from checkpoint 2"), "{out}");
    assert_eq!(digests(&out), whole);
    let before = bench.server.keys("live/");
    bench.server.heal();
    let (code, _, err) = ended(first.wait_with_output().unwrap());
    assert!(code == 1 && err.contains("another process has taken this job over: checkpoint 3"), "{code}: {err}");
    let manifests = |keys: Vec<String>| keys.into_iter().filter(|k| k.contains(".manifest")).collect::<Vec<_>>();
    assert_eq!(manifests(bench.server.keys("live/")), manifests(before));
    assert_eq!(digests(&bench.ends(&run)), whole);
}

#[test]
fn a_bucket_out_of_reach_is_waited_for() {
    let truth = truth();
    let bench = Bench::new();
    let mut child = bench.command(&RUN).stderr(fs::File::create(bench.path("err")).unwrap()).spawn().unwrap();
    bench.wait_for(&mut child, 3);
    bench.server.fail("*", "", usize::MAX, Fault::CutBefore);
    let said = |word: &str| fs::read_to_string(bench.path("err")).unwrap().contains(word);
    let since = Instant::now();
    while !said("reading waits until that has passed") {
        assert!(child.try_wait().unwrap().is_none(), "{}", fs::read_to_string(bench.path("err")).unwrap());
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(said("s3://jobs/live") && said("AWS_ENDPOINT_URL"));
    let stuck = bench.newest("live");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    assert_eq!(bench.newest("live"), stuck);
    bench.server.heal();
    let (code, out, _) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{}", fs::read_to_string(bench.path("err")).unwrap());
    assert!(said("that has passed; reading goes on") && !said(SECRET));
    assert_eq!((digests(&out), bench.rows()), truth);
}

#[test]
fn a_job_in_a_storm_comes_to_the_same() {
    let truth = truth();
    // On a busy machine a run makes few requests and meets few faults: then there are more runs.
    let mut faults = 0;
    for seed in 7..17 {
        let bench = Bench::new();
        bench.server.storm(15, seed);
        let out = bench.ends(&[&RUN[..], &["-D", "payments.rows-per-second=10000"]].concat());
        assert_eq!((digests(&out), bench.rows()), truth);
        faults += bench.server.faults();
        if faults > 5 {
            return;
        }
    }
    panic!("{faults} faults");
}

#[test]
fn what_can_not_hold_state_is_refused_at_the_start() {
    let bench = Bench::new();
    let run = |state: &'static str| ["run", "job.sql", "--state", state];
    bench.refused(&run("memory://"), 2, &["would end with this process", "s3://bucket/prefix"]);
    bench.refused(&["run", "job.sql", "-D", "state.dir=memory://"], 2, &["would end with this process"]);
    bench.refused(&["verify", "memory://"], 2, &["would end with this process"]);
    bench.refused(&run("gs://jobs/live"), 2, &["gs://jobs/live", "s3://bucket/prefix"]);
    bench.refused(&run("s3://id:pass@jobs/live"), 2, &["come from the environment"]);
    bench.refused(&run("s3://other/live"), 1, &["s3://other/live", "NoSuchBucket", "create the bucket"]);
    bench.refused(&["verify", "s3://jobs/nothing"], 1, &["s3://jobs/nothing holds no checkpoint"]);
    bench.refused(&["run", "job.sql", "--fresh"], 2, &["add --state"]);
    let with = |key: &str, value: &str| {
        let mut command = bench.command(&RUN);
        command.env(key, value);
        command
    };
    refused(with("AWS_ALLOW_HTTP", "false"), 1, &["AWS_ALLOW_HTTP=true"]);
    refused(with("AWS_ACCESS_KEY_ID", "AKIDOTHER"), 1, &["InvalidAccessKeyId", "s3://jobs/live"]);
    let since = Instant::now();
    refused(with("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), 1, &["s3://jobs/live", "AWS_ENDPOINT_URL"]);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    bench.server.ignore_conditions();
    bench.refused(&RUN, 1, &["s3://jobs/live", "does not support conditional writes"]);
    assert!(!bench.path("out").exists(), "nothing was started");
}

/// What a job leaves behind and says names neither the key nor the secret.
#[test]
fn no_secret_is_written_anywhere() {
    let bench = Bench::new();
    let mut command = bench.command(&[&RUN[..], &FAST, &["--summary", "summary.json"]].concat());
    let (code, out, err) = ended(command.env("HIGHWATER_LOG", "trace").output().unwrap());
    assert_eq!(code, 0, "{err}");
    let summary = fs::read_to_string(bench.path("summary.json")).unwrap();
    let state = bench.ends(&["savepoint", "--state", RUN[3], "saved"]);
    let saved = fs::read_dir(bench.path("saved")).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap());
    let saved: Vec<String> = saved.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    for text in [&out, &err, &summary, &state].into_iter().chain(&saved) {
        assert!(!text.contains(SECRET) && !text.contains("Signature="), "{text}");
    }
    assert!(!out.contains(KEY_ID) && !summary.contains(KEY_ID));
}
