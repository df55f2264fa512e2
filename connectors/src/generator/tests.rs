//! Rows are functions of (seed, row): the same whatever the shards, batches and columns, equal to a model in Python.

use super::payments::Column;
use super::*;
use crate::options::Options;
use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMillisecondType};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use highwater_engine::source::{PartitionReader, Position, Read, Source};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

fn full_schema() -> SchemaRef {
    Arc::new(Schema::new(Column::ALL.map(|(_, name, t)| Field::new(name, t, true)).to_vec()))
}

fn parse(pairs: &[(&str, &str)], schema: &SchemaRef) -> Result<GeneratorOptions, Vec<crate::OptionError>> {
    let map: BTreeMap<String, String> = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let mut o = Options::new("generator", &map);
    let parsed = GeneratorOptions::parse(&mut o, schema);
    let errors = o.finish();
    if errors.is_empty() { Ok(parsed) } else { Err(errors) }
}

/// All rows of these columns, shard by shard.
fn shards(pairs: &[(&str, &str)], read: &[usize], batch: usize) -> Vec<RecordBatch> {
    let schema = full_schema();
    let source = Generator::new(&parse(pairs, &schema).unwrap(), &schema, read).unwrap();
    let schema = Arc::new(schema.project(read).unwrap());
    let shard = |p: usize| {
        let (mut batches, mut reader) = (Vec::new(), source.open(p, None).unwrap());
        while let Some(mut split) = reader.next_split().unwrap() {
            while let Read::Rows(chunk) = split.read(batch).unwrap() {
                batches.push(chunk.columns);
            }
        }
        concat_batches(&schema, &batches).unwrap()
    };
    (0..source.partitions().len()).map(shard).collect()
}

const ALL: [usize; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

#[test]
fn rows_do_not_depend_on_partitions_or_batches() {
    let one = shards(&[("number-of-rows", "200001"), ("partitions", "1")], &ALL, 8192).remove(0);
    for (partitions, batch) in [("3", 1000), ("8", 65_536), ("8", 77)] {
        let all = shards(&[("number-of-rows", "200001"), ("partitions", partitions)], &ALL, batch);
        let step = all.len();
        for (p, shard) in all.iter().enumerate() {
            let rows: Vec<u32> = (p as u32..200_001).step_by(step).collect();
            let expected = arrow::compute::take_record_batch(&one, &UInt32Array::from(rows)).unwrap();
            assert_eq!(shard, &expected, "shard {p} of {partitions}");
        }
    }
}

#[test]
fn a_column_does_not_depend_on_the_others() {
    let options = [("number-of-rows", "50000"), ("partitions", "2")];
    let all = shards(&options, &ALL, 8192);
    for column in ALL {
        for (alone, full) in shards(&options, &[column], 8192).iter().zip(&all) {
            assert_eq!(alone.column(0), full.column(column), "{}", Column::ALL[column].1);
        }
    }
}

/// `golden.csv` comes from `golden.py`, which states the rows' definition a second time.
#[test]
fn rows_equal_the_model() {
    let golden = include_str!("golden.csv");
    let mut by_options: HashMap<&str, Vec<Vec<&str>>> = HashMap::new();
    for line in golden.lines().skip(1) {
        let (options, row) = line.split_once(',').unwrap();
        by_options.entry(options).or_default().push(row.split(',').collect());
    }
    for (options, expected) in by_options {
        let pairs: Vec<_> = options.split(';').map(|o| o.split_once('=').unwrap()).collect();
        let schema = full_schema();
        let source = Generator::new(&parse(&pairs, &schema).unwrap(), &schema, &ALL).unwrap();
        let shards = source.partitions().len();
        assert_eq!(shards, 8);
        let mut batches: Vec<Vec<RecordBatch>> = vec![Vec::new(); shards];
        for expected in expected {
            let row: usize = expected[0].parse().unwrap();
            let (shard, offset) = (row % shards, row / shards);
            if batches[shard].is_empty() {
                let mut reader = source.open(shard, None).unwrap();
                while let Some(mut split) = reader.next_split().unwrap() {
                    while let Read::Rows(chunk) = split.read(1 << 20).unwrap() {
                        batches[shard].push(chunk.columns);
                    }
                }
            }
            let batch = &batches[shard][offset / 65_536];
            let text: Vec<String> = batch
                .columns()
                .iter()
                .map(|c| match c.data_type() {
                    DataType::Timestamp(..) => {
                        c.as_primitive::<TimestampMillisecondType>().value(offset % 65_536).to_string()
                    }
                    _ => arrow::util::display::array_value_to_string(c, offset % 65_536).unwrap(),
                })
                .collect();
            assert_eq!(text, expected, "row {row} with {options}");
        }
    }
}

#[test]
fn disorder_and_lateness_are_near_the_shares_asked_for() {
    for (disorder, late) in [(0.02, 0.001), (0.0, 0.0), (0.3, 0.05)] {
        let (d, l) = (disorder.to_string(), late.to_string());
        let options = [("number-of-rows", "400000"), ("disorder", &*d), ("late-share", &*l)];
        let (mut rows, mut behind, mut too_late) = (0.0, 0.0, 0.0);
        for shard in shards(&options, &[1], 8192) {
            let mut max = i64::MIN;
            for &t in shard.column(0).as_primitive::<TimestampMillisecondType>().values() {
                rows += 1.0;
                behind += f64::from(t < max);
                too_late += f64::from(max > i64::MIN && t <= max - 5_000);
                max = max.max(t);
            }
        }
        let near = |share: f64, asked: f64| (share / rows - asked).abs() <= asked * 0.1 + 1e-9;
        assert!(near(too_late, late), "late: {too_late} of {rows}, asked {late}");
        assert!(near(behind, disorder + late), "behind: {behind} of {rows}, asked {disorder} + {late}");
    }
}

#[test]
fn bursts_hit_one_key_rapidly_and_label_their_rows() {
    let all = shards(&[("number-of-rows", "2000000"), ("partitions", "1")], &[1, 2, 3, 4, 9, 11, 12], 65_536).remove(0);
    let ints = |c: usize| all.column(c).as_primitive::<Int64Type>();
    let (times, ids) = (all.column(0).as_primitive::<TimestampMillisecondType>(), ints(6));
    let mut bursts: HashMap<i64, Vec<usize>> = HashMap::new();
    for row in 0..all.num_rows() {
        assert_eq!(ids.is_valid(row), all.column(5).as_boolean().value(row));
        if ids.is_valid(row) {
            bursts.entry(ids.value(row)).or_default().push(row);
        }
    }
    // 20,000 s of event time hold 66 whole slots of 300 s and part of the next.
    assert!((66..=67).contains(&bursts.len()), "{}", bursts.len());
    let (mut kinds, amounts) = ([0; 3], all.column(4).as_primitive::<Decimal128Type>());
    for rows in bursts.values().filter(|r| r.len() >= 10) {
        let distinct = |c: usize| rows.iter().map(|&r| ints(c).value(r)).collect::<HashSet<_>>().len();
        let kind = match (distinct(1), distinct(2), distinct(3)) {
            (1, m, 1) if m > 3 => 0,
            (c, m, 1) if c > 3 && m > 3 => 1,
            (c, 1, d) if c > 3 && d > 3 => 2,
            other => panic!("a burst with {other:?} distinct cards, merchants, devices"),
        };
        kinds[kind] += 1;
        if kind == 2 {
            assert!(rows.iter().all(|&r| amounts.value(r) < 500));
        }
        let span = times.value(*rows.last().unwrap()) - times.value(rows[0]);
        assert!(span < 40 * 5_000 + 125_000, "{span} ms");
    }
    assert!(kinds.iter().all(|&k| k > 5), "{kinds:?}");
}

#[test]
fn a_paced_table_gives_what_is_due_then_asks_to_wait() {
    let schema = full_schema();
    let source = |rps| Generator::new(&parse(&[("rows-per-second", rps)], &schema).unwrap(), &schema, &[0]).unwrap();
    let slow = source("1");
    assert!(!slow.bounded() && slow.rows_hint().is_none());
    let mut split = slow.open(0, None).unwrap().next_split().unwrap().unwrap();
    assert!(matches!(split.read(100).unwrap(), Read::Rows(c) if c.columns.num_rows() == 1));
    assert!(matches!(split.read(100).unwrap(), Read::Pending(_)));
    let mut other = slow.open(1, None).unwrap().next_split().unwrap().unwrap();
    assert!(matches!(other.read(100).unwrap(), Read::Pending(_)));
}

#[test]
fn declared_columns_may_be_any_in_any_order_but_exactly_these() {
    let schema = |fields: Vec<(&str, DataType)>| -> SchemaRef {
        Arc::new(Schema::new(fields.into_iter().map(|(n, t)| Field::new(n, t, true)).collect::<Vec<_>>()))
    };
    let o = parse(&[], &schema(vec![("amount", DataType::Decimal128(12, 2)), ("card", DataType::Int64)])).unwrap();
    assert_eq!(o.columns, [Column::Amount, Column::Card]);
    let errors = parse(&[], &schema(vec![("amount", DataType::Float64), ("crad", DataType::Int64)])).unwrap_err();
    assert!(errors[0].message.contains("DECIMAL(12, 2)") && errors[0].message.contains("DOUBLE"), "{errors:?}");
    assert!(errors[1].message.contains("no column crad; did you mean card?"), "{errors:?}");
}

#[test]
fn wrong_options_are_named() {
    let schema = full_schema();
    for (pair, part) in [
        (("number-of-rows", "-1"), "out of range"),
        (("event-rate", "0"), "0.001"),
        (("partitions", "0"), "1 to 256"),
        (("event-start", "noon"), "ISO 8601"),
        (("late-max", "1 s"), "late-min"),
        (("disorder", "1.0"), "more than all rows"),
        (("row-number", "1"), "unknown option"),
    ] {
        let errors = parse(&[pair], &schema).unwrap_err();
        assert!(errors[0].message.contains(part), "{pair:?}: {errors:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn reading_goes_on_behind_any_chunk(
        rows in prop::sample::select(vec![0u64, 1, 5, 70_000, 200_001]), partitions in 1..4u64,
        plan in crate::resume::plans(50_000),
    ) {
        let schema = full_schema();
        let pairs = [("number-of-rows", rows.to_string()), ("partitions", partitions.to_string())];
        let pairs = pairs.each_ref().map(|(k, v)| (*k, v.as_str()));
        let source = Generator::new(&parse(&pairs, &schema).unwrap(), &schema, &[0, 1, 9, 12]).unwrap();
        for p in 0..partitions {
            let open = |from: Option<&Position>| -> Box<dyn PartitionReader> { source.open(p as usize, from).unwrap() };
            let records = crate::resume::check(&open, &plan)?;
            prop_assert!(records.iter().map(|r| r.0 as u64).eq(0..rows.saturating_sub(p).div_ceil(partitions)));
        }
    }
}

#[test]
fn a_paced_table_does_not_wait_again_for_rows_read_before_a_restart() {
    let schema = full_schema();
    let options = parse(&[("rows-per-second", "1"), ("partitions", "2")], &schema).unwrap();
    let source = Generator::new(&options, &schema, &[0]).unwrap();
    let rows = |reader: &mut dyn PartitionReader| match reader.next_split().unwrap().unwrap().read(100).unwrap() {
        Read::Rows(chunk) => chunk.columns.num_rows(),
        _ => 0,
    };
    let at = |n: i64| Position { offset: n, at: n as u64 };
    let (mut ahead, mut behind) = (source.open(0, Some(&at(50))).unwrap(), source.open(1, Some(&at(40))).unwrap());
    // The shard behind catches up; the other goes on at its pace.
    assert_eq!((rows(&mut *ahead), rows(&mut *behind)), (1, 10));
}

#[test]
fn the_fingerprint_holds_what_shapes_rows_and_nothing_else() {
    let schema = full_schema();
    let print = |pairs: &[(&str, &str)], read: &[usize]| {
        let source = Generator::new(&parse(pairs, &schema).unwrap(), &schema, read).unwrap();
        source.fingerprint(0).unwrap()
    };
    let default = print(&[], &[0]);
    assert_eq!(default, print(&[("rows-per-second", "1000"), ("seed", "42")], &[1, 2]));
    let mut all = HashSet::from([default]);
    for pair in [
        ("number-of-rows", "1000"),
        ("event-rate", "101"),
        ("event-start", "2026-01-02T00:00:00"),
        ("seed", "43"),
        ("partitions", "9"),
        ("disorder", "0.03"),
        ("disorder-max", "5 s"),
        ("late-share", "0.002"),
        ("late-min", "7 s"),
        ("late-max", "3 min"),
        ("cards", "1000001"),
        ("merchants", "20001"),
        ("devices", "1300001"),
        ("cards-skew", "0.3"),
        ("merchants-skew", "0.7"),
        ("bursts-per-day", "289"),
    ] {
        assert!(all.insert(print(&[pair], &[0])), "{pair:?}");
    }
}
