//! What is known without a server: addresses, what is refused before a request is sent, a bucket in memory.

use super::*;
use highwater_engine::checkpoint::{Created, StoreErrorKind};
use std::path::{Path, PathBuf};

fn parse(text: &str) -> Result<Address, String> {
    Address::parse(Path::new(text)).map_err(|e| e.message)
}

#[test]
fn an_address_is_read_as_it_is_written() {
    let bucket = |bucket: &str, prefix: &str| Address::Bucket { bucket: bucket.into(), prefix: prefix.into() };
    for (text, address, shown) in [
        ("state", Address::Folder("state".into()), "state"),
        ("/var/a b", Address::Folder("/var/a b".into()), "/var/a b"),
        ("file:///var/a%20b", Address::Folder("/var/a%20b".into()), "/var/a%20b"),
        ("s3:/odd", Address::Folder("s3:/odd".into()), "s3:/odd"),
        ("s3://jobs", bucket("jobs", ""), "s3://jobs"),
        ("s3://jobs/", bucket("jobs", ""), "s3://jobs"),
        ("s3://my.jobs-1/a/B_c=1", bucket("my.jobs-1", "a/B_c=1"), "s3://my.jobs-1/a/B_c=1"),
        ("s3://jobs/a/", bucket("jobs", "a"), "s3://jobs/a"),
        ("memory://", Address::Memory, "memory://"),
    ] {
        assert_eq!(parse(text).as_ref(), Ok(&address), "{text}");
        assert_eq!(address.to_string(), shown);
    }
    assert_eq!(parse("file:///s"), Ok(Address::Folder(PathBuf::from("/s"))));
}

#[test]
fn an_address_that_holds_no_state_is_refused_with_the_way_out() {
    for (text, words) in [
        ("gs://bucket/x", "file:///path or s3://bucket/prefix"),
        ("https://bucket.s3.amazonaws.com/x", "s3://bucket/prefix"),
        ("file://server/x", "file:///path"),
        ("memory://x", "memory://"),
        ("s3://", "no name of a bucket"),
        ("s3://ab/x", "no name of a bucket"),
        ("s3://Jobs/x", "no name of a bucket"),
        ("s3:///x", "no name of a bucket"),
        ("s3://jobs//x", "can't be a part of a prefix"),
        ("s3://jobs/a/../b", "\"..\""),
        ("s3://jobs/a b", "\"a b\""),
        ("s3://jobs/a?b", "\"a?b\""),
        ("s3://key:secret@jobs/x", "come from the environment"),
    ] {
        let message = parse(text).unwrap_err();
        assert!(message.contains(words), "{text}: {message}");
        assert!(message.starts_with("state can't be kept in ") && !message.contains("secret"), "{message}");
    }
}

fn refused(variables: &[(&str, &str)]) -> String {
    let environment = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let error = BucketStore::open("jobs", "alerts", environment).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Other, "{error}");
    error.message
}

/// Nothing listens at these endpoints: each is refused before a request is sent.
#[test]
fn an_endpoint_without_encryption_needs_a_word() {
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "canary")];
    for endpoint in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"] {
        for allowed in [&[][..], &[("AWS_ALLOW_HTTP", "false")]] {
            let message = refused(&[&keys[..], &[(endpoint, "http://127.0.0.1:9")], allowed].concat());
            assert!(message.contains("s3://jobs/alerts") && message.contains("AWS_ALLOW_HTTP=true"), "{message}");
        }
    }
    let message = refused(&[("AWS_SECRET_ACCESS_KEY", "canary")]);
    assert!(!message.contains("canary"), "{message}");
}

#[test]
fn a_bucket_in_memory_is_a_store_and_another_one_each_time() {
    let store = Address::Memory.open().unwrap();
    assert_eq!(store.create("a", b"1").unwrap(), Created::New);
    assert_eq!(store.create("a", b"1").unwrap(), Created::Exists);
    assert_eq!(store.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    assert!(Address::Memory.open().unwrap().list().unwrap().is_empty());
    assert_eq!(store.place("a"), "memory://a");
}

#[test]
fn what_is_printed_holds_no_secret() {
    let store = BucketStore::in_memory().unwrap();
    let text = format!("{store:?}");
    assert_eq!(text, "BucketStore { address: \"memory://\", view: false, .. }");
}
