//! Progress of a running job on stderr: rows, rows per second, event time reached, how far the watermark is behind it.
//! Quiet where stderr is not a terminal.

use crate::instant::{show_duration, show_instant};
use crate::parts::JobParts;
use crate::show::count;
use highwater_engine::flow::{Control, ProgressView};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at the job.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Shows a job's progress until it is dropped.
#[derive(Debug)]
pub struct Watch {
    /// Dropping it ends the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts showing.
    pub fn start(control: Control, parts: Arc<JobParts>) -> Self {
        let (end, ended) = channel();
        let thread = std::thread::spawn(move || {
            let started = Instant::now();
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                show(&bar, &control.progress(), parts.rows_expected(), started.elapsed());
            }
            bar.finish_and_clear();
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by itself; it has nothing to say to the job.
            let _ = thread.join();
        }
    }
}

fn show(bar: &ProgressBar, view: &ProgressView, expected: Option<u64>, elapsed: Duration) {
    let template = match expected {
        Some(_) => "{spinner} {human_pos} of {human_len} rows ({percent} %), {msg}",
        None => "{spinner} {human_pos} rows, {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if let Some(rows) = expected {
        bar.set_length(rows.max(view.rows));
    }
    bar.set_position(view.rows);
    let rate = (view.rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    bar.set_message(format!("{} rows/s{}", count(rate), times(view)));
}

fn times(view: &ProgressView) -> String {
    match (view.event_time_ms, view.watermark_ms) {
        (Some(time), Some(watermark)) => {
            let lag = time.saturating_sub(watermark).max(0) / 1000 * 1000;
            format!(", event time {}, watermark {} behind", show_instant(time), show_duration(lag))
        }
        (Some(time), None) => format!(", event time {}", show_instant(time)),
        _ => String::new(),
    }
}
