//! The process of [`super`], its state in a bucket: killed at every point that such a store passes, and while a request is
//! on its way.

use super::subject::{Load, Sink, Subject};
use highwater_tests::s3::{Fault, S3Server};

/// Checkpoints are slower than in a folder: a second of work holds enough of them.
const LOAD: Load = Load { pace: 30_000, ..Load::SMALL };

/// Points that only a folder passes.
const OF_FOLDERS: [&str; 2] = ["file.synced", "file.named"];

#[test]
fn a_kill_at_any_point_loses_nothing_of_a_job_whose_state_is_in_a_bucket() {
    let server = S3Server::start();
    let undisturbed: Vec<_> = Sink::ALL.iter().map(|sink| Subject::new(*sink, Load::SMALL).undisturbed()).collect();
    let points = highwater_engine::fail::POINTS.iter().filter(|p| !OF_FOLDERS.contains(p));
    for (i, point) in points.enumerate() {
        let (sink, workers) = (i % 2, 1 + i / 2 % 2);
        let subject = Subject::in_bucket(Sink::ALL[sink], LOAD, &server, &format!("job-{i}"));
        subject.killed_at(point, 2, workers);
        let at = format!("{point}, {:?}, {workers} workers", Sink::ALL[sink]);
        subject.end(3 - workers).assert_is(&undisturbed[sink], &at);
        assert!(!server.keys(&format!("job-{i}/")).is_empty(), "the state is in the bucket");
    }
}

/// The process dies while the PUT of its manifest is on its way: it took effect, or it does when the next start has begun.
#[test]
fn a_kill_while_a_manifest_is_on_its_way_loses_nothing() {
    let server = S3Server::start();
    let undisturbed = Subject::new(Sink::Log, Load::SMALL).undisturbed();
    for (i, (fault, late)) in
        [(Fault::HoldAfter, false), (Fault::HoldBefore, false), (Fault::HoldBefore, true)].into_iter().enumerate()
    {
        let prefix = format!("held-{i}");
        let subject = Subject::in_bucket(Sink::Log, LOAD, &server, &prefix);
        server.fail("PUT", &format!("{prefix}/000000000002.manifest"), 1, fault);
        subject.killed_when(|| server.wait_for_faults(i + 1));
        if !late {
            server.heal();
            // The write of the dead process lands before anybody else looks.
            while fault == Fault::HoldBefore && !server.keys(&prefix).iter().any(|k| k.ends_with("02.manifest")) {
                std::thread::yield_now();
            }
        }
        let outcome = subject.end(2);
        server.heal();
        outcome.assert_is(&undisturbed, &format!("{fault:?}, late: {late}"));
        subject.end(1).assert_is(&undisturbed, "and once more");
    }
}
