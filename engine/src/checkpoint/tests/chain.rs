//! Scripts: checkpoints are made, found again, fenced and refused.

use super::history::{JOB, content, incarnation, make, read, write};
use super::stores;
use highwater_engine::checkpoint::{Committed, HmacKey, Ledger, LedgerError, Store, names};
use std::sync::Arc;

fn open(store: &Arc<dyn Store>) -> Ledger {
    Ledger::open(store.clone(), None, JOB).unwrap()
}

#[test]
fn what_was_committed_is_found_and_read_back() {
    for store in stores().1 {
        assert!(open(&store).newest().is_none());
        for number in 1..=9_u64 {
            let mut ledger = open(&store);
            assert_eq!(make(&mut ledger, &incarnation(number.into()), 0, 0).unwrap(), Committed::Durable);
            let found = open(&store);
            assert_eq!(found.newest(), ledger.newest());
            assert_eq!(read(&found, found.newest().unwrap()).unwrap(), content(number, 0));
            assert_eq!(found.restore_points(), (1..=number).collect::<Vec<_>>());
        }
        let ledger = open(&store);
        for number in 1..=9 {
            assert_eq!(read(&ledger, &ledger.manifest(number).unwrap()).unwrap(), content(number, 0));
        }
        let report = ledger.verify().unwrap();
        assert_eq!(
            (&report.damaged[..], &report.strays[..], &report.single[..]),
            (&[][..], &[][..], &[][..]),
            "{report}"
        );
        assert_eq!((report.checkpoints.len(), report.files), (9, 9 * 4));
    }
}

#[test]
fn of_two_incarnations_the_slower_is_superseded() {
    for store in stores().1 {
        let (mut one, mut two) = (open(&store), open(&store));
        assert_eq!(make(&mut one, &incarnation(1), 0, 1).unwrap(), Committed::Durable);
        assert_eq!(make(&mut two, &incarnation(2), 0, 2).unwrap(), Committed::Superseded);
        assert_eq!(read(&open(&store), open(&store).newest().unwrap()).unwrap(), content(1, 1));
    }
}

/// The one for which a look behind the create is needed.
#[test]
fn a_late_incarnation_finds_its_number_free_and_leaves_nothing() {
    for store in stores().1 {
        let mut late = open(&store);
        let mut ledger = open(&store);
        for number in 1..=6 {
            make(&mut ledger, &incarnation(1), 0, 1).unwrap();
            ledger.collect(1_000_000_000, &[("alerts_out", number)]).unwrap();
        }
        assert_eq!(ledger.restore_points(), [4, 5, 6]);
        assert_eq!(make(&mut late, &incarnation(2), 0, 2).unwrap(), Committed::Superseded);
        assert_eq!(open(&store).restore_points(), [4, 5, 6]);
        assert!(!store.list().unwrap().contains(&names::manifest(1)));
        // Its files are strays now.
        assert_eq!(open(&store).verify().unwrap().strays.len(), 4);
        assert_eq!(ledger.collect(1_000_000_000, &[("alerts_out", 6)]).unwrap(), 4);
        assert_eq!(read(&ledger, ledger.newest().unwrap()).unwrap(), content(6, 1));
    }
}

#[test]
fn a_commit_that_is_done_again_is_done_once() {
    for store in stores().1 {
        let mut ledger = open(&store);
        let manifest = write(&ledger, None, &incarnation(1), 0, 0).unwrap();
        let mut again = open(&store);
        assert_eq!(ledger.commit(manifest.clone()).unwrap(), Committed::Durable);
        assert_eq!(again.commit(manifest).unwrap(), Committed::Durable);
        assert_eq!(make(&mut again, &incarnation(1), 0, 0).unwrap(), Committed::Durable);
        assert_eq!(again.restore_points(), [1, 2]);
    }
}

#[test]
fn processing_time_never_goes_back() {
    for store in stores().1 {
        let mut ledger = open(&store);
        for (given, kept) in [(50, 50), (20, 50), (70, 70)] {
            make(&mut ledger, &incarnation(1), given, 0).unwrap();
            assert_eq!(ledger.newest().unwrap().created_ms, kept);
        }
    }
}

#[test]
fn another_job_key_or_format_is_refused_with_the_way_out() {
    let refusal = |store: &Arc<dyn Store>, key: Option<&str>, job: &str| {
        let key = key.map(|k| HmacKey::new(k.as_bytes()).unwrap());
        match Ledger::open(store.clone(), key, job) {
            Err(LedgerError::Refused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    let (one, two) = ("a key of 22 characters", "another key of 28 characters");
    for store in stores().1 {
        make(&mut open(&store), &incarnation(1), 0, 0).unwrap();
        assert!(refusal(&store, None, "refunds").contains("a checkpoint of job alerts"));
        assert!(refusal(&store, Some(one), JOB).contains("not signed"));
    }
    for store in stores().1 {
        let key = |k: &str| Some(HmacKey::new(k.as_bytes()).unwrap());
        make(&mut Ledger::open(store.clone(), key(one), JOB).unwrap(), &incarnation(1), 0, 0).unwrap();
        assert!(Ledger::open(store.clone(), key(one), JOB).unwrap().newest().is_some());
        assert!(refusal(&store, Some(two), JOB).contains("not made with this key"));
        assert!(refusal(&store, None, JOB).contains("no key is set"));
    }
    assert!(HmacKey::new(b"short").unwrap_err().contains("at least 16"));
    assert_eq!(format!("{:?}", HmacKey::new(one.as_bytes()).unwrap()), "HmacKey(..)");
}
