//! Requests whose outcome is unknown, and whole histories of checkpoints in bad weather.

use super::history::{JOB, SINK, content, incarnation, read, write};
use super::open;
use highwater_engine::checkpoint::{Committed, Created, Ledger, LedgerError, Store};
use highwater_tests::s3::{Fault, S3Server};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Faults after which nobody knows what became of a request, and those that only look so.
const UNKNOWN: [Fault; 7] = [
    Fault::Before(503, "SlowDown"),
    Fault::After(503, "ServiceUnavailable"),
    Fault::After(500, "InternalError"),
    Fault::CutBefore,
    Fault::CutAfter,
    // S3's answer if somebody deletes the object at that moment.
    Fault::Before(409, "ConditionalRequestConflict"),
    Fault::Before(429, "TooManyRequests"),
];

#[test]
fn a_create_of_unknown_outcome_finds_its_own_object() {
    for fault in UNKNOWN {
        for times in [1, 3] {
            let server = S3Server::start();
            let store = open(&server, "a").unwrap();
            server.fail("PUT", "x.manifest", times, fault);
            assert_eq!(store.create("x.manifest", b"incarnation 1").unwrap(), Created::New, "{fault:?} {times} times");
            assert_eq!(server.faults(), times);
            assert_eq!(store.create("x.manifest", b"incarnation 2").unwrap(), Created::Exists);
            assert_eq!(store.create("x.manifest", b"incarnation 1").unwrap(), Created::Exists);
            assert_eq!(store.get("x.manifest").unwrap().unwrap(), b"incarnation 1");
        }
    }
}

#[test]
fn a_create_of_unknown_outcome_does_not_take_the_object_of_another() {
    for fault in UNKNOWN {
        let server = S3Server::start();
        let store = open(&server, "a").unwrap();
        server.place("a/x.manifest", b"incarnation 2");
        server.fail("PUT", "x.manifest", 2, fault);
        assert_eq!(store.create("x.manifest", b"incarnation 1").unwrap(), Created::Exists, "{fault:?}");
        assert_eq!(store.get("x.manifest").unwrap().unwrap(), b"incarnation 2");
    }
}

/// The try that took effect is refused by none that follows: each is answered by an error, though reading goes.
#[test]
fn a_create_that_never_hears_of_its_success_reads_it() {
    let server = S3Server::start();
    let store = open(&server, "a").unwrap();
    server.fail("PUT", "x.manifest", usize::MAX, Fault::After(503, "SlowDown"));
    assert_eq!(store.create("x.manifest", b"incarnation 1").unwrap(), Created::New);
}

/// While one PUT stands still on its way, another process creates the object.
#[test]
fn a_create_that_was_overtaken_is_told_so() {
    let server = S3Server::start();
    let (one, two) = (open(&server, "a").unwrap(), open(&server, "a").unwrap());
    server.fail("PUT", "x.manifest", 1, Fault::HoldBefore);
    let slow = std::thread::spawn(move || one.create("x.manifest", b"one").unwrap());
    server.wait_for_faults(1);
    assert_eq!(two.create("x.manifest", b"two").unwrap(), Created::New);
    server.heal();
    assert_eq!(slow.join().unwrap(), Created::Exists);
    assert_eq!(two.get("x.manifest").unwrap().unwrap(), b"two");
}

#[test]
fn every_other_call_is_made_again() {
    let slow = Fault::Delay(Duration::from_millis(20));
    for fault in [UNKNOWN[0], UNKNOWN[1], UNKNOWN[2], Fault::CutBefore, Fault::CutAfter, Fault::CutShort, slow] {
        let server = S3Server::start();
        let store = open(&server, "a").unwrap();
        let bytes = vec![7; 100_000];
        for call in 0..5 {
            server.fail("*", "", 2, fault);
            match call {
                0 => store.put("x", &[&bytes]).unwrap(),
                1 => assert!(store.get("x").unwrap().unwrap() == bytes),
                2 => assert_eq!(store.list().unwrap(), ["x"]),
                3 => store.delete(&["x"]).unwrap(),
                _ => assert_eq!(store.get("x").unwrap(), None),
            }
            // An answer without a body can't be cut short, a slow one is not asked for again.
            let seldom = matches!(fault, Fault::CutShort | Fault::Delay(_));
            assert!(server.faults() == 2 * (call + 1) || seldom && server.faults() > call, "{fault:?}");
            server.heal();
        }
        assert_eq!(server.keys("a/x"), [""; 0]);
    }
}

#[test]
fn a_large_file_goes_in_parts_whatever_happens_to_them() {
    let server = S3Server::start();
    let store = open(&server, "a").unwrap();
    let bytes: Vec<u8> = (0..40 << 20).map(|i: u32| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    server.requests();
    store.put("x.state", &[&bytes[..1], &bytes[1..30 << 20], &bytes[30 << 20..]]).unwrap();
    let requests = server.requests();
    let count = |method: &str| requests.iter().filter(|r| r.starts_with(method)).count();
    assert_eq!((count("POST"), count("PUT")), (2, 5), "{requests:?}");
    for fault in [UNKNOWN[0], UNKNOWN[1], Fault::CutBefore, Fault::CutAfter, Fault::CutShort] {
        for (method, times) in [("PUT", 3), ("POST", 1), ("POST", 3)] {
            store.delete(&["x.state"]).unwrap();
            let before = server.faults();
            server.fail(method, "x.state", times, fault);
            store.put("x.state", &[&bytes]).unwrap_or_else(|e| panic!("{fault:?} of {method}: {e}"));
            assert_eq!(server.faults() - before, times);
            server.fail("GET", "x.state", 2, fault);
            let mut found = Vec::new();
            store.read("x.state").unwrap().unwrap().read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{fault:?} of {method}");
            server.heal();
        }
    }
}

#[test]
fn an_upload_that_fails_is_aborted() {
    let server = S3Server::start();
    let store = open(&server, "a").unwrap();
    server.fail("PUT", "x.state", usize::MAX, Fault::Before(403, "AccessDenied"));
    assert!(store.put("x.state", &[&vec![0; 20 << 20]]).is_err());
    assert_eq!((server.open_uploads(), server.keys("a/x").len()), (0, 0));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let server = S3Server::start();
    let store = open(&server, "a").unwrap();
    store.put("x", &[&vec![1; 30 << 20]]).unwrap();
    let mut reader = store.read("x").unwrap().unwrap();
    reader.read_exact(&mut [0; 100]).unwrap();
    store.put("x", &[&vec![2; 30 << 20]]).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("s3://jobs/a/x") && error.contains("412"), "{error}");
}

/// Does what a running job does with an error that may pass.
fn again<T>(mut call: impl FnMut() -> Result<T, LedgerError>) -> T {
    for _ in 0..100 {
        match call() {
            Err(error) if error.may_pass() => (),
            outcome => return outcome.unwrap(),
        }
    }
    panic!("no call of 100 went through");
}

/// Two processes of one job on one bucket; one in four requests fails, before or after it took effect. Each checkpoint is
/// made by one of them, the other is told so.
#[test]
fn a_history_in_a_storm_is_the_history() {
    for seed in 0..4 {
        let server = S3Server::start();
        server.storm(25, seed);
        let store: Arc<dyn Store> = Arc::new(open(&server, "a").unwrap());
        for number in 1..=6_u64 {
            let two: [Ledger; 2] = std::array::from_fn(|_| again(|| Ledger::open(store.clone(), None, JOB)));
            let before = two[0].newest().cloned();
            assert_eq!(before.as_ref().map_or(0, |m| m.checkpoint), number - 1);
            let made: Vec<_> = std::thread::scope(|scope| {
                let started: Vec<_> = two
                    .into_iter()
                    .enumerate()
                    .map(|(i, mut ledger)| {
                        let before = before.as_ref();
                        scope.spawn(move || {
                            let id = incarnation(u128::from(number) * 10 + i as u128);
                            let manifest = again(|| write(&ledger, before, &id, number as i64, 0));
                            let committed = again(|| ledger.commit(manifest.clone()));
                            if committed == Committed::Durable {
                                again(|| ledger.collect(1_000_000_000_000, &[(SINK, number)]));
                            }
                            committed
                        })
                    })
                    .collect();
                started.into_iter().map(|t| t.join().unwrap()).collect()
            });
            let durable = made.iter().filter(|c| **c == Committed::Durable).count();
            assert_eq!(durable, 1, "seed {seed}, checkpoint {number}: {made:?}");
        }
        assert!(server.faults() > 50, "{} faults", server.faults());
        server.heal();
        let mut ledger = Ledger::open(store.clone(), None, JOB).unwrap();
        assert_eq!(ledger.restore_points(), [4, 5, 6]);
        for point in ledger.restore_points() {
            assert_eq!(read(&ledger, &ledger.manifest(point).unwrap()).unwrap(), content(point, 0), "seed {seed}");
        }
        ledger.collect(1_000_000_000_000, &[(SINK, 6)]).unwrap();
        let report = ledger.verify().unwrap();
        assert!(report.damaged.is_empty() && report.strays.is_empty(), "seed {seed}: {report}");
    }
}
