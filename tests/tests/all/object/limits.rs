//! What a bucket refuses, can't do or does not answer: an error with its cause and its cure, in time, and never a secret.

use super::open;
use highwater_connectors::object::BucketStore;
use highwater_engine::checkpoint::{Store, StoreError, StoreErrorKind};
use highwater_tests::s3::{BUCKET, Fault, KEY_ID, S3Server, SECRET};
use std::time::{Duration, Instant};

/// How long a start may take to find out that it can't.
const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn assert_says(error: &StoreError, kind: StoreErrorKind, words: &[&str]) {
    assert_eq!(error.kind, kind, "{error}");
    for word in words {
        assert!(error.message.contains(word), "expected {word:?} in: {error}");
    }
    assert!(!error.message.contains(SECRET) && !error.message.contains("Signature"), "{error}");
}

fn with(server: &S3Server, key: &str, value: Option<&str>) -> impl Iterator<Item = (String, String)> {
    let mut environment = server.environment();
    environment.retain(|(k, _)| k != key);
    environment.extend(value.map(|v| (key.to_owned(), v.to_owned())));
    environment.into_iter()
}

#[test]
fn a_bucket_that_can_not_create_if_absent_is_refused() {
    let server = S3Server::start();
    server.ignore_conditions();
    for _ in 0..2 {
        let error = open(&server, "a").unwrap_err();
        assert_says(&error, StoreErrorKind::Other, &["s3://jobs/a", "does not support conditional writes", "folder"]);
    }
    let server = S3Server::start();
    server.fail("PUT", "", usize::MAX, Fault::Before(501, "NotImplemented"));
    let error = open(&server, "a").unwrap_err();
    assert_says(&error, StoreErrorKind::Other, &["does not support conditional writes"]);
}

/// The proof that a bucket can create if absent stays in it: the first start makes two requests, each later one one.
#[test]
fn the_proof_is_cheap_and_hidden() {
    let server = S3Server::start();
    for requests in [3, 2, 2] {
        let store = open(&server, "a").unwrap();
        assert_eq!(server.requests().len(), requests);
        assert!(store.list().unwrap().is_empty());
        server.requests();
    }
}

#[test]
fn refusals_have_their_kind_their_cause_and_a_cure() {
    use StoreErrorKind::{Denied, Full, Other};
    for (fault, kind, words) in [
        (Fault::Before(403, "AccessDenied"), Denied, &["403", "AccessDenied", "AWS_ACCESS_KEY_ID"][..]),
        (Fault::Before(401, "Unauthorized"), Denied, &["401"]),
        (Fault::Before(400, "ExpiredToken"), Denied, &["ExpiredToken", "AWS_SESSION_TOKEN"]),
        (Fault::Before(507, "InsufficientStorage"), Full, &["507", "quota"]),
        (Fault::Before(403, "QuotaExceeded"), Full, &["QuotaExceeded", "quota"]),
        (Fault::Before(400, "EntityTooLarge"), Other, &["EntityTooLarge: as the test wants"]),
        (Fault::Before(301, "PermanentRedirect"), Other, &["AWS_REGION"]),
        (Fault::Before(404, "NoSuchBucket"), Other, &["create the bucket"]),
    ] {
        let server = S3Server::start();
        let store = open(&server, "a").unwrap();
        server.fail("*", "", usize::MAX, fault);
        let place = ["s3://jobs/a/x.manifest"];
        let calls = [
            store.put("x.manifest", &[b"1"]),
            store.put("x.manifest", &[&vec![0; 9 << 20]]),
            store.create("x.manifest", b"1").map(drop),
            store.delete(&["x.manifest"]),
        ];
        for error in calls.map(Result::unwrap_err) {
            assert_says(&error, kind, &[words, &place].concat());
        }
        assert_says(&store.list().unwrap_err(), kind, &[words, &["can't list s3://jobs/a"]].concat());
        assert_says(&open(&server, "a").unwrap_err(), kind, words);
    }
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let server = S3Server::start();
    let error = BucketStore::open("other", "a", server.environment().into_iter()).unwrap_err();
    assert_says(&error, StoreErrorKind::Other, &["s3://other/a", "NoSuchBucket", "create the bucket"]);
    let error = BucketStore::view("other", "a", server.environment().into_iter()).unwrap_err();
    assert_says(&error, StoreErrorKind::Other, &["s3://other/a", "NoSuchBucket", "create the bucket"]);
}

#[test]
fn credentials_that_nobody_knows_are_refused() {
    let server = S3Server::start();
    let error = BucketStore::open(BUCKET, "a", with(&server, "AWS_ACCESS_KEY_ID", Some("AKIDOTHER"))).unwrap_err();
    assert_says(&error, StoreErrorKind::Denied, &["InvalidAccessKeyId"]);
    let error = BucketStore::open(BUCKET, "a", with(&server, "AWS_ACCESS_KEY_ID", None)).unwrap_err();
    assert_says(&error, StoreErrorKind::Other, &["s3://jobs/a", "Access"]);
}

#[test]
fn a_bucket_out_of_reach_is_an_error_soon() {
    let server = S3Server::start();
    // Nobody listens; a name that nobody has; somebody who takes a request and never answers; who always fails.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{nobody}");
    let soon = |opens: &dyn Fn() -> Result<BucketStore, StoreError>| {
        let since = Instant::now();
        let error = opens().unwrap_err();
        assert_says(&error, StoreErrorKind::Unavailable, &["s3://jobs/a", "AWS_ENDPOINT_URL"]);
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    };
    std::thread::scope(|scope| {
        for endpoint in [closed.as_str(), "http://nowhere.invalid"] {
            let at = || with(&server, "AWS_ENDPOINT_URL", Some(endpoint)).collect::<Vec<_>>().into_iter();
            scope.spawn(move || soon(&|| BucketStore::open(BUCKET, "a", at())));
            scope.spawn(move || soon(&|| BucketStore::view(BUCKET, "a", at())));
        }
        for fault in [Fault::HoldBefore, Fault::Before(503, "SlowDown"), Fault::CutBefore] {
            scope.spawn(move || {
                let server = S3Server::start();
                server.fail("*", "", usize::MAX, fault);
                soon(&|| open(&server, "a"));
            });
        }
    });
}

#[test]
fn what_is_only_looked_at_is_not_written() {
    let server = S3Server::start();
    open(&server, "a").unwrap().put("x", &[b"1"]).unwrap();
    let store = BucketStore::view(BUCKET, "a", server.environment().into_iter()).unwrap();
    assert_eq!(store.get("x").unwrap().unwrap(), b"1");
    server.requests();
    for outcome in [store.put("x", &[b"2"]), store.create("y", b"2").map(drop), store.delete(&["x"])] {
        assert_says(&outcome.unwrap_err(), StoreErrorKind::ReadOnly, &["s3://jobs/a"]);
    }
    assert_eq!(server.requests(), [""; 0]);
    // One that was never written to is empty.
    let none = BucketStore::view(BUCKET, "b", server.environment().into_iter()).unwrap();
    assert!(none.list().unwrap().is_empty());
}

#[test]
fn foreign_objects_are_left_out() {
    let server = S3Server::start();
    for key in ["a/", "a/deeper/x", "a/UPPER", "ab", "a2/x", "b/x", "x", "a/.hidden"] {
        server.place(key, b"foreign");
    }
    let store = open(&server, "a").unwrap();
    store.put("x", &[b"1"]).unwrap();
    assert_eq!(store.list().unwrap(), ["x"]);
    // The bucket's root.
    let root = open(&server, "").unwrap();
    assert_eq!(root.list().unwrap(), ["ab", "x"]);
    assert_eq!((root.place("x"), root.get("x").unwrap().unwrap()), ("s3://jobs/x".to_owned(), b"foreign".to_vec()));
}

#[test]
fn who_prints_a_store_sees_no_secret() {
    let server = S3Server::start();
    let text = format!("{:?}", open(&server, "a").unwrap());
    assert!(text.contains("s3://jobs/a") && !text.contains(SECRET) && !text.contains(KEY_ID), "{text}");
}
