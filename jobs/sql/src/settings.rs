//! `SET` keys: what a job may say about its own run.

use crate::diagnostic::{Fault, Result, nearest_text};
use crate::types::UTC;
use highwater_operators::periods;
use std::collections::BTreeMap;

/// The keys a job may `SET`.
pub const KEYS: [&str; 10] = [
    "arrival.late-horizon",
    "arrival.quantum",
    "execution.checkpointing.interval",
    "parallelism.default",
    "pipeline.batch-size",
    "pipeline.name",
    "state.dir",
    "state.hmac-key-file",
    "table.exec.state.ttl",
    "table.local-time-zone",
];

/// First parts of the keys: no table may be named so, or `-D` would be ambiguous.
pub const RESERVED: [&str; 7] = ["arrival", "execution", "parallelism", "parameter", "pipeline", "state", "table"];

/// The settings of a job, typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `pipeline.name`: the job's identity; by default the stem of its file.
    pub name: String,
    /// `parallelism.default`: worker threads, if the job says so.
    pub parallelism: Option<usize>,
    /// `pipeline.batch-size`: rows per batch that sources aim for, if the job says so.
    pub batch_size: Option<usize>,
    /// `table.local-time-zone`: the clocks that TIMESTAMP_LTZ is shown, cast and cut into days by.
    pub time_zone: String,
    /// `table.exec.state.ttl`: how long, in event time, a row counts where nothing else says so: in ROWS frames and LAG.
    pub state_ttl_ms: Option<i64>,
    /// `arrival.quantum`: Δ of the content-defined cuts of a bounded `arrival` job.
    pub arrival_quantum_ms: i64,
    /// `arrival.late-horizon`: late rows back to this far behind the watermark are answered and enter the log.
    pub late_horizon_ms: i64,
    /// `execution.checkpointing.interval`: how often a job with a state folder takes a checkpoint.
    pub checkpoint_interval_ms: i64,
    /// `state.dir`: the folder in which the job keeps its state; without one it keeps nothing.
    pub state_dir: Option<String>,
    /// `state.hmac-key-file`: a file whose bytes sign the manifests.
    pub state_key_file: Option<String>,
}

impl Settings {
    /// The defaults of a job in this file.
    pub fn of_file(file_name: &str) -> Self {
        let stem = std::path::Path::new(file_name).file_stem().map(|s| s.to_string_lossy().into_owned());
        Self {
            name: stem.filter(|s| !s.is_empty()).unwrap_or_else(|| "job".into()),
            parallelism: None,
            batch_size: None,
            time_zone: UTC.into(),
            state_ttl_ms: None,
            arrival_quantum_ms: 1_000,
            late_horizon_ms: 3_600_000,
            checkpoint_interval_ms: 1_000,
            state_dir: None,
            state_key_file: None,
        }
    }

    /// Applies one key.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let positive = |what: &str| match value.trim().parse::<usize>() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(Fault::new(format!("{key} is a number of {what} above 0, not '{value}'"))),
        };
        match key {
            "pipeline.name" if value.trim().is_empty() => return Err(Fault::new("pipeline.name is empty")),
            "pipeline.name" => self.name = value.trim().to_string(),
            "parallelism.default" => {
                let n = positive("workers")?;
                if n > highwater_engine::limits::WORKERS_MAX {
                    let max = highwater_engine::limits::WORKERS_MAX;
                    return Err(Fault::new(format!("parallelism.default is {n}; a job has at most {max} workers")));
                }
                self.parallelism = Some(n);
            }
            "pipeline.batch-size" => self.batch_size = Some(positive("rows")?),
            "table.local-time-zone" => {
                let name = value.trim();
                let zone = periods::zone(name).map_err(|e| {
                    Fault::new(format!("{key}: {}", e.message)).hint("like 'Europe/Berlin', '+02:00' or 'UTC'")
                })?;
                self.time_zone = if zone.is_utc() { UTC } else { name }.into();
            }
            "table.exec.state.ttl" => match duration_ms(key, value)? {
                0 => {
                    return Err(Fault::new("table.exec.state.ttl of 0 keeps rows for ever: state without bound")
                        .hint("how long a row counts, like '30 d'"));
                }
                ms => self.state_ttl_ms = Some(ms),
            },
            "arrival.quantum" => {
                self.arrival_quantum_ms = duration_ms(key, value)?;
                if self.arrival_quantum_ms == 0 {
                    return Err(Fault::new("arrival.quantum must be above 0"));
                }
            }
            "arrival.late-horizon" => self.late_horizon_ms = duration_ms(key, value)?,
            "execution.checkpointing.interval" => {
                self.checkpoint_interval_ms = duration_ms(key, value)?;
                if self.checkpoint_interval_ms == 0 {
                    return Err(Fault::new("execution.checkpointing.interval must be above 0"));
                }
            }
            "state.dir" | "state.hmac-key-file" if value.trim().is_empty() => {
                return Err(Fault::new(format!("{key} is empty")));
            }
            "state.dir" => self.state_dir = Some(value.trim().to_string()),
            "state.hmac-key-file" => self.state_key_file = Some(value.trim().to_string()),
            _ => {
                return Err(Fault::new(format!("there is no setting {key}{}", nearest_text(key, KEYS)))
                    .hint(format!("settings: {}", KEYS.join(", "))));
            }
        }
        Ok(())
    }

    /// As text, by key, for `explain` and summaries.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let mut map = BTreeMap::from([
            ("pipeline.name".to_string(), self.name.clone()),
            ("table.local-time-zone".into(), self.time_zone.clone()),
            ("arrival.quantum".into(), crate::intervals::show_ms(self.arrival_quantum_ms)),
            ("arrival.late-horizon".into(), crate::intervals::show_ms(self.late_horizon_ms)),
        ]);
        map.extend(self.parallelism.map(|n| ("parallelism.default".into(), n.to_string())));
        map.extend(self.state_ttl_ms.map(|ms| ("table.exec.state.ttl".into(), crate::intervals::show_ms(ms))));
        map.extend(self.batch_size.map(|n| ("pipeline.batch-size".into(), n.to_string())));
        map
    }
}

/// A duration as Flink writes them in options: `1 s`, `500ms`, `5 min`, `1h`, `7 d`. Without a unit: milliseconds.
pub(crate) fn duration_ms(key: &str, text: &str) -> Result<i64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit_ms: i64 = match text[digits..].trim().to_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => -1,
    };
    let number: Option<i64> = text[..digits].parse().ok();
    number
        .filter(|_| unit_ms > 0)
        .and_then(|n| n.checked_mul(unit_ms))
        .ok_or_else(|| Fault::new(format!("{key} is a duration like '1 s', '5 min' or '7 d', not '{text}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_flinks_units() {
        for (text, ms) in [("1 s", 1_000), ("500ms", 500), ("5 min", 300_000), ("1h", 3_600_000), ("7 d", 604_800_000)]
        {
            assert_eq!(duration_ms("k", text), Ok(ms), "{text}");
        }
        for text in ["", "s", "-1 s", "1 fortnight", "99999999999999999999 d", "9223372036854775807 d"] {
            assert!(duration_ms("k", text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let mut s = Settings::of_file("/jobs/fraud_velocity.sql");
        assert_eq!(s.name, "fraud_velocity");
        let e = s.set("arrival.quantm", "1 s").unwrap_err();
        assert_eq!(e.message, "there is no setting arrival.quantm; the nearest is arrival.quantum");
    }
}
