//! What every store must do, whatever it stands on. The stores are those of the module above; the end-to-end tests run
//! this file too, on buckets.

use super::stores;
use highwater_engine::checkpoint::{Created, Store, StoreError};
use std::io::Read;
use std::sync::Arc;
use std::thread;

/// Bytes that repeat nowhere near: a piece that is lost, doubled or swapped shows.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let word = |i: usize| (i as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..count.div_ceil(8)).flat_map(word).take(count).collect()
}

fn read(store: &dyn Store, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.read(name).unwrap().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(store.get(name).unwrap().unwrap(), bytes);
    bytes
}

#[test]
fn a_file_is_read_as_it_was_written_whatever_its_size() {
    for store in stores().1 {
        for count in [0, 1, 8191, 70_000, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 35 << 20] {
            let whole = bytes(count, count as u64);
            let parts: Vec<&[u8]> = whole.chunks(999_983).collect();
            store.put("file", &parts).unwrap();
            assert!(read(&*store, "file") == whole, "{count} bytes are not those that were written");
        }
    }
}

#[test]
fn a_file_may_be_read_by_halves() {
    for store in stores().1 {
        let whole = bytes(20 << 20, 7);
        store.put("file", &[&whole]).unwrap();
        let mut reader = store.read("file").unwrap().unwrap();
        let mut half = vec![0; 9 << 20];
        reader.read_exact(&mut half).unwrap();
        assert!(half == whole[..9 << 20]);
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        drop(reader);
    }
}

#[test]
fn put_replaces_and_create_does_not() {
    for store in stores().1 {
        store.put("a", &[b"1", b"", b"2"]).unwrap();
        assert_eq!(read(&*store, "a"), b"12");
        store.put("a", &[b"3"]).unwrap();
        assert_eq!(read(&*store, "a"), b"3");
        assert_eq!(store.create("a", b"4").unwrap(), Created::Exists);
        assert_eq!(store.create("a", b"3").unwrap(), Created::Exists, "the same bytes are no excuse");
        assert_eq!(read(&*store, "a"), b"3");
        assert_eq!(store.create("b", b"5").unwrap(), Created::New);
        assert_eq!(store.create("b", b"6").unwrap(), Created::Exists);
        assert_eq!(read(&*store, "b"), b"5");
        store.delete(&["b"]).unwrap();
        assert_eq!(store.create("b", b"7").unwrap(), Created::New);
        assert_eq!(read(&*store, "b"), b"7");
    }
}

#[test]
fn what_is_not_there_is_no_error() {
    for store in stores().1 {
        assert_eq!(store.get("a").unwrap(), None);
        assert!(store.read("a").unwrap().is_none());
        assert!(store.list().unwrap().is_empty());
        store.delete(&["a"]).unwrap();
        store.delete(&[]).unwrap();
    }
}

#[test]
fn all_files_are_listed_in_order_and_gone_when_deleted() {
    for store in stores().1 {
        // More than two pages of a listing.
        let mut names: Vec<String> = (0..25).map(|i| format!("{:02}.x", i * 7 % 25)).collect();
        names.iter().for_each(|name| store.put(name, &[name.as_bytes()]).unwrap());
        names.sort();
        assert_eq!(store.list().unwrap(), names);
        let (gone, left) = names.split_at(20);
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        store.delete(&gone).unwrap();
        assert_eq!(store.list().unwrap(), left);
        store.delete(&[&gone[..], &[&left[0]]].concat()).unwrap();
        assert_eq!(store.list().unwrap(), left[1..]);
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_refused_by_every_call() {
    for store in stores().1 {
        for name in ["", ".", "..", "../a", "a/b", "/a", ".hidden", "A", "a b", "a%2fb"] {
            let refused = |outcome: Result<(), StoreError>| assert!(outcome.is_err(), "{name:?} in {store:?}");
            refused(store.put(name, &[b"1"]));
            refused(store.create(name, b"1").map(drop));
            refused(store.get(name).map(drop));
            refused(store.read(name).map(drop));
            refused(store.delete(&[name]));
        }
        assert!(store.list().unwrap().is_empty());
    }
}

#[test]
fn of_many_that_create_at_once_one_is_new() {
    for store in stores().1 {
        for round in 0..8 {
            let name = format!("{round}.manifest");
            let one = |i: usize| {
                let (store, name): (Arc<dyn Store>, _) = (store.clone(), name.clone());
                thread::spawn(move || (i, store.create(&name, format!("from {i}").as_bytes()).unwrap()))
            };
            let started: Vec<_> = (0..8).map(one).collect();
            let answers: Vec<_> = started.into_iter().map(|t| t.join().unwrap()).collect();
            let new: Vec<usize> = answers.iter().filter(|(_, c)| *c == Created::New).map(|(i, _)| *i).collect();
            let [winner] = new[..] else { panic!("{store:?}, {name}: {answers:?}") };
            assert_eq!(read(&*store, &name), format!("from {winner}").as_bytes());
        }
    }
}

#[test]
fn a_place_says_where() {
    for store in stores().1 {
        assert!(store.place("a.manifest").ends_with("a.manifest"), "{}", store.place("a.manifest"));
    }
}
