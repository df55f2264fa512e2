//! The formats, byte by byte: layouts are frozen by examples, and no bytes make a reader panic.

use super::history::{JOB, NODES, batches, content, incarnation, write};
use super::simulated::Random;
use crate::checkpoint::manifest::FORMAT;
use crate::checkpoint::seal::{Flaw, NESTING_MAX, blake3, seal, sha256, unseal};
use crate::checkpoint::segment::read_index;
use crate::checkpoint::{Ledger, Manifest, MemoryStore, StatePart, Store};
use crate::expr::{Expr, Literal};
use crate::graph::{MapSpec, Node, Step};
use arrow_schema::Schema;
use std::sync::Arc;

fn new() -> (Arc<MemoryStore>, Ledger) {
    let store = Arc::new(MemoryStore::new());
    (store.clone(), Ledger::open(store, None, JOB).unwrap())
}

fn manifest() -> Manifest {
    write(&new().1, None, &incarnation(1), 0, 0).unwrap()
}

#[test]
fn hashes_are_the_published_ones() {
    // FIPS 180-4, RFC 3720 and BLAKE3's test vectors (test_vectors.json, input_len 3: the bytes 0, 1, 2).
    assert_eq!(blake3(&[&[0], &[1, 2]]), "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f");
    assert_eq!(sha256(&[b"a", b"bc"]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
}

#[test]
fn a_state_file_byte_by_byte() {
    let (store, ledger) = new();
    let part = StatePart { node: "ab".into(), group: 9, full: true, bytes: b"xyz".to_vec() };
    let segment = ledger.put_segment(1, &incarnation(1), 0, &[part]).unwrap();
    let frame = [&[2, 0, 9, 1, 3, 0, 0, 0, 0, 0, 0, 0][..], b"abxyz"].concat();
    let index = [&[1, 0, 0, 0][..], &[16, 0, 0, 0, 0, 0, 0, 0], &frame[..14]].concat();
    let crc = |bytes: &[u8]| crc32c::crc32c(bytes).to_le_bytes();
    let expected = [
        &b"hwstate\n\x01\0\0\0\0\0\0\0"[..],
        &frame,
        &crc(&frame),
        &index,
        &crc(&index),
        &[37, 0, 0, 0, 0, 0, 0, 0],
        &[91, 0, 0, 0, 0, 0, 0, 0],
        b"hwstate\n",
    ]
    .concat();
    assert_eq!(store.get(&segment.file.name).unwrap().unwrap(), expected);
    assert_eq!((segment.file.bytes, &segment.file.blake3), (91, &blake3(&[&expected])));
    let found = read_index(&expected, &segment.file.name, 1).unwrap();
    assert_eq!(found, [("ab".to_owned(), segment.index["ab"][0].clone())]);
}

#[test]
fn the_index_of_a_damaged_state_file_is_an_error() {
    let (store, ledger) = new();
    let part = |group| StatePart { node: NODES[0].into(), group, full: false, bytes: vec![group; 20] };
    let file = ledger.put_segment(1, &incarnation(1), 0, &[part(1), part(2), part(3)]).unwrap().file;
    let bytes = store.get(&file.name).unwrap().unwrap();
    let whole = read_index(&bytes, &file.name, 1).unwrap();
    assert_eq!(whole.len(), 3);
    (0..bytes.len()).for_each(|n| assert!(read_index(&bytes[..n], &file.name, 1).is_err(), "cut at {n}"));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let found = read_index(&flipped, &file.name, 1);
        assert!(found.is_err() || found.as_ref() == Ok(&whole), "bit {bit}: {found:?}");
    }
    let mut random = Random(1);
    for _ in 0..2_000 {
        let mut noise = bytes.clone();
        (0..8).for_each(|_| noise[random.below(bytes.len() as u64) as usize] = random.below(256) as u8);
        let _ = read_index(&noise, &file.name, 1);
    }
}

#[test]
fn an_outbox_without_rows_and_one_of_many_batches() {
    let (_, ledger) = new();
    let empty = ledger.put_outbox(1, &incarnation(1), 0, 0, &[]).unwrap();
    assert_eq!((empty.rows, ledger.outbox(&empty).unwrap().count()), (0, 0));
    let written = batches(&content(3, 0).rows[0]);
    assert!(written.len() > 1);
    let many = ledger.put_outbox(1, &incarnation(1), 0, 1, &written).unwrap();
    assert_eq!(ledger.outbox(&many).unwrap().collect::<Result<Vec<_>, _>>().unwrap(), written);
    let wrong = crate::checkpoint::OutboxRef { rows: many.rows + 1, ..many };
    assert!(ledger.outbox(&wrong).unwrap().any(|b| b.is_err()));
}

#[test]
fn a_manifest_of_a_newer_format_says_so() {
    let text = seal(&Manifest { format: FORMAT + 1, ..manifest() }, None).unwrap().0;
    match unseal(&text, None) {
        Err(Flaw::Refused(reason)) => {
            assert!(reason.contains("state format is 3, this version reads up to 2"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
}

/// A node whose expression nests `depth` deep in JSON.
fn nested(depth: usize) -> Node {
    let mut deep = Expr::Literal(Literal::Boolean(true));
    (0..depth).for_each(|_| deep = Expr::Not(Box::new(std::mem::replace(&mut deep, Expr::Column(0)))));
    let map = MapSpec { filter: Some(deep), columns: Vec::new(), query: "q".into() };
    Node { name: "deep".into(), inputs: Vec::new(), step: Step::Map(map), schema: Arc::new(Schema::empty()) }
}

#[test]
fn what_is_written_can_be_read_however_deep_it_nests() {
    let mut manifest = manifest();
    manifest.graph.nodes = vec![nested(NESTING_MAX - 20)];
    let (text, sha256) = seal(&manifest, None).unwrap();
    let read = unseal(&text, None).unwrap();
    assert_eq!((read.manifest, read.sha256), (manifest.clone(), sha256));
    manifest.graph.nodes = vec![nested(NESTING_MAX)];
    assert!(seal(&manifest, None).unwrap_err().contains("split them"));
}
