//! A real process, killed at every instant of the commit protocol: what it shows, it shows once.
//!
//! For each fail point, sink and number of workers the job is started, killed (SIGKILL) where it stands at the point, and
//! started again, with the other number of workers, until it ends. The rows must be those of an undisturbed run: the same
//! digest, the same sorted rows. `HIGHWATER_KILLS=1000` runs the matrix again and again, with the point reached for the
//! second, third … time, until there have been so many kills.

mod subject;

use subject::{Sink, Subject};

/// Every point of the protocol is reached, and whatever is killed there, every row is shown once.
#[test]
fn a_kill_at_any_point_of_the_protocol_loses_nothing_and_shows_nothing_twice() {
    let wanted: usize = std::env::var("HIGHWATER_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let undisturbed: Vec<_> = Sink::ALL.iter().map(|sink| Subject::new(*sink).undisturbed()).collect();
    let (mut kills, mut nth) = (0, 1);
    while kills < wanted || nth == 1 {
        for point in highwater_engine::fail::POINTS {
            for (sink, expected) in Sink::ALL.iter().zip(&undisturbed) {
                for workers in [1, 2] {
                    let subject = Subject::new(*sink);
                    kills += subject.killed_at(point, nth, workers);
                    let at = format!("{point} ({nth}), {sink:?}, {workers} workers");
                    subject.end(3 - workers).assert_is(expected, &at);
                }
            }
        }
        nth += 1;
    }
    println!("{kills} kills");
}
