//! Damaged texts: tokens of real jobs dropped, doubled, swapped and replaced. Each ends in a plan or in errors with places,
//! never in a panic.

use highwater_sql::{Overrides, plan};
use proptest::prelude::*;

const TEXT: &str = "\
SET 'arrival.quantum' = '1 s';
CREATE TABLE p (ts TIMESTAMP(3), card BIGINT, amount DECIMAL(12, 2), s STRING, twice AS amount * 2, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'csv', 'late' = 'discard');
CREATE TABLE o (a BIGINT, b DECIMAL(38, 2)) WITH ('connector' = 'blackhole', 'emit' = 'final');
CREATE VIEW v AS SELECT card, ts, amount, COUNT(*) FILTER (WHERE amount > 1.5) OVER w AS c, SUM(amount) OVER w AS t FROM p WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW);
INSERT INTO o SELECT c, t FROM (SELECT * FROM v WHERE card IN (1, 2, 3) OR NOT amount BETWEEN 1 AND 2) AS x;
INSERT INTO o WITH q AS (SELECT * FROM p WHERE CASE WHEN s LIKE 'a%' THEN TRUE ELSE s IS NULL END) SELECT COUNT(DISTINCT card), SUM(amount) FROM TABLE(HOP(TABLE q, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '1' HOUR)) GROUP BY window_start, window_end, card HAVING COUNT(*) > 3;
INSERT INTO o (a) SELECT lateness_ms FROM `p$late` UNION ALL SELECT `position` FROM `p$errors`;
";

/// Words and signs, roughly.
fn pieces() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for c in TEXT.chars() {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        match all.last_mut() {
            Some(last) if word(c) && last.chars().all(word) => last.push(c),
            _ => all.push(c.to_string()),
        }
    }
    all
}

#[derive(Clone, Debug)]
enum Damage {
    Drop(prop::sample::Index),
    Double(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Copy(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    use prop::sample::Index;
    prop_oneof![
        any::<Index>().prop_map(Damage::Drop),
        any::<Index>().prop_map(Damage::Double),
        any::<(Index, Index)>().prop_map(|(a, b)| Damage::Swap(a, b)),
        any::<(Index, Index)>().prop_map(|(a, b)| Damage::Copy(a, b)),
    ]
}

fn damaged(all: &[Damage]) -> String {
    let mut pieces = pieces();
    for d in all {
        let n = pieces.len();
        match d {
            Damage::Drop(i) => drop(pieces.remove(i.index(n))),
            Damage::Double(i) => pieces.insert(i.index(n), pieces[i.index(n)].clone()),
            Damage::Swap(a, b) => pieces.swap(a.index(n), b.index(n)),
            Damage::Copy(a, b) => pieces[a.index(n)] = pieces[b.index(n)].clone(),
        }
    }
    pieces.concat()
}

#[test]
fn the_undamaged_text_plans() {
    plan("m.sql", TEXT, &Overrides::default()).unwrap_or_else(|all| panic!("{all:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_text_gives_a_plan_or_errors(all in prop::collection::vec(damage(), 1..4)) {
        let text = damaged(&all);
        if let Err(errors) = plan("m.sql", &text, &Overrides::default()) {
            prop_assert!(!errors.is_empty());
            for e in errors {
                prop_assert!(!e.message.contains("panicked"), "{e}\n{text}");
                prop_assert!(e.line as usize <= text.lines().count().max(1), "{e}\n{text}");
            }
        }
    }
}
