//! A real process, killed at every instant of the commit protocol: what it shows, it shows once.
//!
//! For each fail point, sink and number of workers the job is started, killed (SIGKILL) where it stands at the point, and
//! started again, with the other number of workers, until it ends. The rows must be those of an undisturbed run: the same
//! digest, the same sorted rows. `HIGHWATER_KILLS=1000` runs the matrix again and again, with the point reached for the
//! first to the fifth time, until there have been so many kills.

mod bucket;
pub(crate) mod subject;

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use subject::{Load, Sink, Subject};

/// A point is reached for so many times, in turn.
const NTH_MAX: u64 = 5;

/// Every point of the protocol is reached, and whatever is killed there, every row is shown once.
#[test]
fn a_kill_at_any_point_of_the_protocol_loses_nothing_and_shows_nothing_twice() {
    let wanted: usize = std::env::var("HIGHWATER_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let undisturbed: Vec<_> = Sink::ALL.iter().map(|sink| Subject::new(*sink, Load::SMALL).undisturbed()).collect();
    let (mut kills, mut round) = (0, 0);
    while kills < wanted || round == 0 {
        let nth = 1 + round % NTH_MAX;
        for point in highwater_engine::fail::POINTS {
            for (sink, expected) in Sink::ALL.iter().zip(&undisturbed) {
                for workers in [1, 2] {
                    let subject = Subject::new(*sink, Load::SMALL);
                    kills += subject.killed_at(point, nth, workers);
                    let at = format!("{point} ({nth}), {sink:?}, {workers} workers");
                    subject.end(3 - workers).assert_is(expected, &at);
                }
            }
        }
        round += 1;
        println!("{kills} kills in {round} rounds");
    }
}

/// Kills of one long run.
const KILLS: usize = 50;

/// Five million payments; the process is killed 50 times wherever it happens to be, and goes on with one to four workers.
#[test]
fn random_kills_lose_nothing_and_show_nothing_twice() {
    let load = Load { rows: 5_000_000, pace: 150_000, event_rate: 2_000, count_min: 5_000, interval: "100 ms" };
    let expected = Subject::new(Sink::Log, Load { pace: 1_000_000_000, ..load }).undisturbed();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed: u64 =
        std::env::var("HIGHWATER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(since.as_micros() as u64);
    println!("HIGHWATER_SEED={seed}");
    let mut random = seed | 1;
    let mut below = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let subject = Subject::new(Sink::Log, load);
    let (mut kills, mut ended, mut workers) = (0, false, 2);
    while kills < KILLS {
        // Some die before their first checkpoint, some behind several.
        // Each start has another number of workers, 1 to 4, than the one before.
        workers = (workers + below(3) as usize) % 4 + 1;
        ended |= subject.killed_after(Duration::from_millis(100 + below(900)), workers);
        kills += usize::from(!ended);
        assert!(!ended, "the run ended after {kills} kills: too short to be killed {KILLS} times");
    }
    subject.end(2).assert_is(&expected, "after 50 random kills");
}
