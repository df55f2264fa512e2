//! State folders as users meet them: every fault is an error that says what and what to do, or is waited out. Never wrong
//! rows. Each test starts the real binary.

#![allow(unsafe_code)] // a file size limit in a child, lifted while it runs: libc calls without a safe wrapper here

mod again;
mod bench;
mod damage;
mod job;

use bench::{Bench, JOB, PATIENCE, RUN, digests, ended, truth};
use highwater_engine::checkpoint::seal::sha256;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

#[test]
fn a_killed_job_goes_on_and_an_ended_one_says_so() {
    let (digests_true, rows_true) = truth();
    let bench = Bench::new();
    bench.kill_at(&RUN, 3);
    let out = bench.ends(&[&RUN[..], &["--workers", "2"]].concat());
    assert!(out.contains("went on from checkpoint "), "{out}");
    assert_eq!((digests(&out), bench.rows()), (digests_true.clone(), rows_true.clone()));
    let again = bench.ends(&RUN);
    assert!(again.contains("the job had ended already") && again.contains("nothing was read"), "{again}");
    assert!(!again.contains("rows/s"), "{again}");
    assert_eq!((digests(&again), bench.rows()), (digests_true, rows_true));
}

#[test]
fn a_table_shows_all_rows_whatever_happened_before() {
    let table = ["-D", "busy.connector=table", "-D", "busy.max-rows=5"];
    let whole = Bench::new().ends(&[&["run", "job.sql"], &table[..]].concat());
    let shown = |out: &str| out.lines().take(7).map(str::to_owned).collect::<Vec<_>>();
    let bench = Bench::new();
    bench.kill_at(&[&RUN[..], &table].concat(), 4);
    for _ in 0..2 {
        let out = bench.ends(&[&RUN[..], &table].concat());
        assert_eq!(shown(&out), shown(&whole), "{out}");
    }
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let (digests_true, rows_true) = truth();
    let bench = Bench::new();
    let mut first = bench.command(&RUN).spawn().unwrap();
    bench.wait_for(&mut first, 1);
    bench.refused(&RUN, &["in use by another process", "its own folder"]);
    bench.refused(&[&RUN[..], &["--fresh"]].concat(), &["in use by another process"]);
    // Looking needs no lock.
    bench.ends(&["verify", "state"]);
    bench.ends(&["validate", "job.sql", "--against", "state"]);
    bench.ends(&["savepoint", "--state", "state", "saved"]);
    let (code, out, err) = ended(first.wait_with_output().unwrap());
    assert_eq!((code, digests(&out)), (0, digests_true), "{err}");
    assert_eq!(bench.rows(), rows_true);
}

#[test]
fn state_of_another_job_a_wrong_key_and_a_newer_format_are_refused() {
    let bench = Bench::new();
    bench.write("key", "0123456789abcdef0123456789abcdef");
    bench.write("other", "another key, another key, another");
    let keyed = |file: &'static str| [&RUN[..], &["-D"], &[file]].concat();
    bench.kill_at(&keyed("state.hmac-key-file=key"), 2);
    bench.refused(&keyed("state.hmac-key-file=other"), &["was not made with this key", ".manifest"]);
    bench.refused(&RUN, &["it is signed, but no key is set"]);
    bench.refused(&keyed("state.hmac-key-file=nothing"), &["state.hmac-key-file nothing"]);
    bench.refused(&["verify", "state"], &[]);
    bench.ends(&["verify", "state", "--hmac-key-file", "key"]);
    let renamed = [&keyed("state.hmac-key-file=key")[..], &["-D", "pipeline.name=another"]].concat();
    bench.refused(&renamed, &["of job job, not of another", "a state folder of its own"]);
    bench.ends(&keyed("state.hmac-key-file=key"));

    let bench = Bench::new();
    bench.kill_at(&RUN, 2);
    bench.refused(&keyed("state.hmac-key-file=/dev/null"), &["/dev/null"]);
    let rewrite = |from: &str, to: &str| {
        for name in ["manifest", "manifest-copy"] {
            let path = bench.path(&format!("state/{:012}.{name}", bench.newest("state")));
            let text = fs::read_to_string(&path).unwrap();
            let body = text.lines().next().unwrap().replace(from, to);
            assert!(body.contains(to));
            fs::write(&path, format!("{body}\nsha256 {}\n", sha256(&[body.as_bytes()]))).unwrap();
        }
    };
    rewrite("\"version\":1,", "\"version\":77,");
    bench.refused(&RUN, &["the state of step ", "has version 77, and this program reads version 1", "--fresh"]);
    rewrite("\"format\":2", "\"format\":99");
    bench.refused(&RUN, &["its state format is 99", "or a newer one"]);
}

#[test]
fn changed_input_is_refused() {
    let bench = Bench::new();
    bench.kill_at(&RUN, 2);
    let seed = [&RUN[..], &["-D", "payments.seed=7"]].concat();
    bench.refused(&seed, &["table payments", "has changed", "--fresh"]);

    let bench = Bench::new();
    bench.ends(&[
        "generate",
        "--rows",
        "200000",
        "--partitions",
        "2",
        "--format",
        "csv",
        "--out",
        "in",
        "-D",
        "csv.header=true",
    ]);
    let files = ["-D", "payments.connector=filesystem", "-D", "payments.path=in", "-D", "payments.format=csv"];
    let more = ["-D", "payments.csv.header=true", "-D", "pipeline.batch-size=100"];
    let more = [&more[..], &["-D", "execution.checkpointing.interval=1 ms"]].concat();
    let run = [&RUN[..], &files, &more].concat();
    bench.kill_at(&run, 2);
    let file = bench.files("in", ".csv").pop().unwrap();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    bench.refused(&run, &["table payments", "has changed"]);
    fs::remove_file(&file).unwrap();
    bench.refused(&run, &["table payments", "is gone"]);
    fs::write(&file, &whole).unwrap();
    bench.ends(&run);
    assert!(!bench.rows().is_empty());
}

#[test]
fn an_output_folder_that_was_emptied_is_refused_and_goes_on_once_it_is_back() {
    let bench = Bench::new();
    bench.kill_at(&RUN, 4);
    let files = bench.files("out", ".csv");
    assert!(!files.is_empty());
    let aside = bench.path("aside");
    fs::rename(bench.path("out"), &aside).unwrap();
    bench.refused(&RUN, &["sink busy", "put it back", "--fresh"]);
    fs::remove_dir_all(bench.path("out")).unwrap();
    fs::rename(&aside, bench.path("out")).unwrap();
    let (digests_true, rows_true) = truth();
    assert_eq!((digests(&bench.ends(&RUN)), bench.rows()), (digests_true, rows_true));
}

#[test]
fn a_read_only_folder_is_refused() {
    let bench = Bench::new();
    bench.write("file", "");
    bench.refused(&["run", "job.sql", "--state", "file"], &["file"]);
    fs::create_dir(bench.path("state")).unwrap();
    fs::set_permissions(bench.path("state"), fs::Permissions::from_mode(0o500)).unwrap();
    match fs::write(bench.path("state/probe"), "") {
        Ok(()) => eprintln!("SKIPPED: this user (root?) may write to a folder without the right to"),
        Err(_) => bench.refused(&RUN, &["state", "choose another state folder"]),
    }
    // A folder in which nobody, root included, can create a file.
    bench.refused(&["run", "job.sql", "--state", "/proc/highwater"], &["/proc/highwater"]);
}

/// Runs a job that can't write files longer than `bytes_max`, lifts the limit when it waits, and gives its report.
fn waits_for_room(bench: &Bench, bytes_max: u64) -> String {
    let mut command = bench.command(&RUN);
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes_max, rlim_max: libc::RLIM_INFINITY };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        })
    };
    let mut child = command.stderr(fs::File::create(bench.path("err")).unwrap()).spawn().unwrap();
    let said = |word: &str| fs::read_to_string(bench.path("err")).unwrap().contains(word);
    let since = Instant::now();
    while !said("reading waits until that has passed") {
        assert!(child.try_wait().unwrap().is_none(), "{}", fs::read_to_string(bench.path("err")).unwrap());
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    let stuck = bench.newest("state");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    assert_eq!(bench.newest("state"), stuck);
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the child has not been waited for, so its id is its own; `limit` outlives the call.
    let lifted = unsafe { libc::prlimit(child.id() as i32, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(lifted, 0);
    let (code, out, _) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{}", fs::read_to_string(bench.path("err")).unwrap());
    assert!(said("that has passed; reading goes on"));
    out
}

#[test]
fn a_full_disk_is_waited_out() {
    let (digests_true, rows_true) = truth();
    let bench = Bench::new();
    let out = waits_for_room(&bench, 40_000);
    assert_eq!((digests(&out), bench.rows()), (digests_true, rows_true));
}

/// State and outboxes have room; the file of all rows has none.
#[test]
fn a_full_disk_of_an_output_is_waited_out() {
    let large = JOB.replace("'2 kB'", "'1 GB'").replace("INTERVAL '10' SECOND", "INTERVAL '1' SECOND");
    let one_output = &large[..large.find("INSERT INTO velocity").unwrap()];
    let one_output = one_output.replace("'rows-per-second' = '4000'", "'rows-per-second' = '10000'");
    let bench = || {
        let bench = Bench::new();
        bench.write("job.sql", &one_output);
        bench
    };
    let whole = bench();
    let expected = (digests(&whole.ends(&["run", "job.sql"])), whole.rows());
    // On a busy machine checkpoints are rare and an outbox may be the first to have no room: then once more.
    let output_was_full = (0..5).any(|_| {
        let bench = bench();
        let out = waits_for_room(&bench, 150_000);
        assert_eq!((digests(&out), bench.rows()), expected);
        assert_eq!(bench.files("out", ".csv").len(), 1);
        fs::read_to_string(bench.path("err")).unwrap().contains("sink busy")
    });
    assert!(output_was_full);
}

#[test]
fn a_changed_job_is_refused_before_it_starts_and_goes_on_with_the_word() {
    let bench = Bench::new();
    bench.kill_at(&RUN, 2);
    bench.ends(&["validate", "job.sql", "--against", "state"]);
    bench.write("job.sql", JOB.replace("'10' MINUTE", "'20' MINUTE"));
    let newest = bench.newest("state");
    bench.refused(&RUN, &["changed", "step", "its state is lost", "--allow-non-restored-state", "nothing was started"]);
    assert_eq!(bench.newest("state"), newest);
    let (code, out, err) = bench.run(&["validate", "job.sql", "--against", "state"]);
    assert!(code == 1 && out.contains("changed    step") && out.contains("kept       input payments"), "{out}{err}");
    bench.ends(&[&RUN[..], &["--allow-non-restored-state"]].concat());
}

#[test]
fn fresh_savepoints_and_older_checkpoints() {
    let (digests_true, rows_true) = truth();
    let bench = Bench::new();
    bench.kill_at(&RUN, 4);
    bench.ends(&["savepoint", "--state", "state", "saved"]);
    bench.ends(&["verify", "saved"]);
    bench.refused(&["savepoint", "--state", "state", "saved"], &["is not empty"]);
    let moved = ["run", "job.sql", "--state", "state2", "--from-savepoint", "saved"];
    let out = bench.ends(&moved);
    assert_eq!((digests(&out), bench.rows()), (digests_true.clone(), rows_true.clone()));
    bench.refused(&moved, &["holds checkpoint", "leave the word away"]);
    // The old folder has been overtaken by its copy: its output is ahead.
    bench.refused(&RUN, &["has shown checkpoint", "rolled back"]);
    let fresh = [&RUN[..], &["--fresh"]].concat();
    bench.refused(&fresh, &["out"]);
    assert!(bench.newest("state") > 0, "a refused --fresh deletes nothing");
    bench.refused(&["run", "job.sql", "--fresh"], &["add --state"]);
    fs::remove_dir_all(bench.path("out")).unwrap();
    let out = bench.ends(&fresh);
    assert!(!out.contains("went on from"), "{out}");
    assert_eq!((digests(&out), bench.rows()), (digests_true, rows_true));
}

#[test]
fn an_older_checkpoint_is_gone_back_to_unless_rows_were_shown_since() {
    let quiet = ["-D", "busy.connector=blackhole"];
    let run = [&RUN[..], &quiet].concat();
    let whole = Bench::new().ends(&[&["run", "job.sql"], &quiet[..]].concat());
    let bench = Bench::new();
    bench.kill_at(&run, 5);
    let newest = bench.newest("state");
    let older = (newest - 1).to_string();
    bench.refused(&[&run[..], &["--from", "99"]].concat(), &["no restore point", &older]);
    let out = bench.ends(&[&run[..], &["--from", &older]].concat());
    assert!(out.contains(&format!("went on from checkpoint {older}")), "{out}");
    assert_eq!(digests(&out), digests(&whole));

    let bench = Bench::new();
    bench.kill_at(&RUN, 3);
    bench.ends(&RUN);
    let older = (bench.newest("state") - 1).to_string();
    bench.refused(&[&RUN[..], &["--from", &older]].concat(), &["output busy has shown rows", "shown twice"]);
}
