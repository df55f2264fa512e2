//! Damaged state folders: the rows come out as if nothing had been, or the job says what is damaged and what to do.

use super::bench::{Bench, FAST, JOB, RUN, digests, flip, truth};
use std::fs;
use std::path::Path;

/// The same folder once more.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}

fn duplicate(bench: &Bench) -> Bench {
    let other = Bench::new();
    copy(bench.0.path(), other.0.path());
    other
}

/// Digests, the first lines (where a table is shown), and rows of files.
fn seen(bench: &Bench, out: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
    (digests(out), out.lines().take(7).map(str::to_owned).collect(), bench.rows())
}

/// Runs the job. If it was killed between showing a file and noting that, and the rows of that file are lost, they are made
/// again in another order: then the job says to remove the file, and that is done.
fn made_good(bench: &Bench, run: &[&str]) -> (i32, String, String) {
    let (code, out, err) = bench.run(run);
    let says = err.lines().find(|l| l.contains("remove it, and it is written again"));
    let file = says.and_then(|l| l.split("sink busy: ").nth(1)?.split(": it holds").next());
    match file.filter(|_| code != 0) {
        None => (code, out, err),
        Some(file) => {
            fs::remove_file(file).unwrap();
            bench.run(run)
        }
    }
}

#[test]
fn any_damaged_file_of_the_newest_checkpoint_is_made_good() {
    let table = ["-D", "busy.connector=table", "-D", "busy.max-rows=5"];
    for output in [&[][..], &table] {
        let undisturbed = Bench::new();
        let out = undisturbed.ends(&[&["run", "job.sql"], output].concat());
        let truth = seen(&undisturbed, &out);
        for workers in ["1", "2"] {
            let scene = Bench::new();
            scene.kill_at(&[&RUN[..], output, &["--workers", workers]].concat(), 5);
            let newest = scene.newest("state");
            let mut repeated = 0;
            for file in scene.files("state", "").iter().filter_map(|f| f.file_name()?.to_str()) {
                if !file.starts_with(&format!("{newest:012}")) {
                    continue;
                }
                let damaged = duplicate(&scene);
                flip(&damaged.path("state").join(file));
                let run = [&RUN[..], output, &FAST, &["--workers", if workers == "1" { "2" } else { "1" }]].concat();
                let (code, out, err) = made_good(&damaged, &run);
                assert_eq!(code, 0, "{file}: {err}");
                assert_eq!(seen(&damaged, &out), truth, "{file}: {err}");
                let from = out.lines().find_map(|l| l.strip_prefix("went on from checkpoint ")?.split(',').next());
                let from: u64 = from.map_or(0, |n| n.parse().unwrap());
                assert!(from < newest || !file.ends_with(".state"), "{file}: {out}");
                assert!(from == newest || err.contains(&format!("{newest:012}")), "{file} is not named: {err}");
                repeated += usize::from(from < newest);
            }
            assert!(repeated > 0, "no state in checkpoint {newest}");
        }
    }
}

#[test]
fn a_damaged_manifest_has_a_copy_and_without_one_nobody_knows_what_was_shown() {
    let (digests_true, rows_true) = truth();
    let bench = Bench::new();
    bench.kill_at(&RUN, 3);
    let newest = bench.files("state", ".manifest").pop().unwrap();
    flip(&newest);
    let (code, out, _) = bench.run(&["verify", "state"]);
    assert!(code == 1 && out.contains("is damaged") && out.contains(".manifest"), "{out}");
    let both = duplicate(&bench);
    flip(&both.files("state", ".manifest-copy").pop().unwrap());
    both.refused(&RUN, &["is damaged", "its second copy", "nobody knows", "move both away"]);
    let out = bench.ends(&RUN);
    assert_eq!((digests(&out), bench.rows()), (digests_true, rows_true), "the copy is used");
}

#[test]
fn without_any_state_the_job_is_repeated_from_its_beginning_unless_it_or_its_input_has_changed() {
    let (digests_true, rows_true) = truth();
    let bench = Bench::new();
    bench.kill_at(&RUN, 5);
    bench.files("state", ".state").iter().for_each(|f| flip(f));
    let (code, out, _) = bench.run(&["verify", "state"]);
    assert!(code == 1 && out.contains(".state is damaged"), "{out}");
    bench.refused(&[&RUN[..], &["-D", "payments.seed=7"]].concat(), &["table payments", "has changed"]);
    bench.write("job.sql", JOB.replace("COUNT(*)\n  FROM TABLE", "COUNT(*) + 1\n  FROM TABLE"));
    bench.refused(&RUN, &["came to something else", "sink busy has other rows", "No new row was shown"]);
    bench.write("job.sql", JOB.replace("'10' MINUTE", "'20' MINUTE"));
    let words = ["--allow-non-restored-state"];
    bench.refused(&[&RUN[..], &words].concat(), &["can't be repeated by a job that has changed", "start the old one"]);
    assert!(bench.rows().iter().all(|row| rows_true.contains(row)), "what is shown is right");
    bench.write("job.sql", JOB);
    let (code, out, err) = bench.run(&[&RUN[..], &FAST].concat());
    assert!(code == 0 && err.contains("goes on from the beginning"), "{err}");
    assert_eq!((digests(&out), bench.rows()), (digests_true, rows_true));
}
