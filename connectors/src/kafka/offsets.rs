//! Where the partitions of a topic begin and end: asked once, when the job first starts, and recorded.

use super::client::{Consumer, PATIENCE, RETRY};
use super::options::Place;
use super::trouble::{explain, forbidden, is_away};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Instant;

/// A cluster and one topic of it.
pub struct Topic<'a> {
    /// Who asks.
    pub asker: &'a Consumer,
    /// The cluster, for messages.
    pub servers: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its partitions.
    pub partitions: &'a [i32],
}

/// The first offset that a partition has, and the one behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The first offset.
    pub low: i64,
    /// Behind the last committed row.
    pub high: i64,
}

impl Topic<'_> {
    /// What each partition has now.
    ///
    /// # Errors
    /// No broker that answers.
    pub fn kept(&self) -> Result<Vec<Kept>, String> {
        let until = Instant::now() + PATIENCE;
        let ask = |&p: &i32| loop {
            let left = until.saturating_duration_since(Instant::now()).max(RETRY);
            match self.asker.fetch_watermarks(self.name, p, left) {
                Ok((low, high)) => return Ok(Kept { low, high: high.max(low) }),
                // A broker that has just become the leader does not know the end yet.
                Err(e) if e.rdkafka_error_code().is_some_and(is_away) && Instant::now() + RETRY < until => {
                    std::thread::sleep(RETRY);
                }
                Err(e) => return Err(self.failed(&e)),
            }
        };
        self.partitions.iter().map(ask).collect()
    }

    /// The offset of a place in each partition; `i64::MAX` is nowhere. `option` is who asks for it.
    ///
    /// # Errors
    /// No broker that answers; offsets that are not there.
    pub fn resolve(&self, place: &Place, kept: &[Kept], option: &str) -> Result<Vec<i64>, String> {
        match place {
            Place::Earliest => Ok(kept.iter().map(|k| k.low).collect()),
            Place::Latest => Ok(kept.iter().map(|k| k.high).collect()),
            Place::Never => Ok(vec![i64::MAX; kept.len()]),
            Place::Timestamp(ms) => self.at_time(*ms, kept),
            Place::Offsets(given) => self.given(given, kept, option),
            Place::Group(group) => self.of_group(group, kept, option),
        }
    }

    /// The first row of each partition whose timestamp is not before `ms`; its end if there is none.
    fn at_time(&self, ms: i64, kept: &[Kept]) -> Result<Vec<i64>, String> {
        let mut asked = TopicPartitionList::with_capacity(self.partitions.len());
        for &p in self.partitions {
            asked.add_partition_offset(self.name, p, Offset::Offset(ms)).map_err(|e| self.failed(&e))?;
        }
        let found = self.asker.offsets_for_times(asked, PATIENCE).map_err(|e| self.failed(&e))?;
        let offset = |(&p, kept): (&i32, &Kept)| {
            let Some(one) = found.find_partition(self.name, p) else { return Ok(kept.high) };
            one.error().map_err(|e| self.failed(&e))?;
            Ok(match one.offset() {
                Offset::Offset(offset) => offset.clamp(kept.low, kept.high),
                _ => kept.high,
            })
        };
        self.partitions.iter().zip(kept).map(offset).collect()
    }

    /// Where the group of the asker stands.
    fn of_group(&self, group: &str, kept: &[Kept], option: &str) -> Result<Vec<i64>, String> {
        let mut asked = TopicPartitionList::with_capacity(self.partitions.len());
        for &p in self.partitions {
            asked.add_partition(self.name, p);
        }
        let found = match self.asker.committed_offsets(asked, PATIENCE) {
            Ok(found) => found,
            Err(e) if e.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed) => {
                return Err(forbidden("see the offsets of", &format!("group {group}"), "READ"));
            }
            Err(e) => return Err(self.failed(&e)),
        };
        let offset = |(&p, kept): (&i32, &Kept)| match found.find_partition(self.name, p).map(|one| one.offset()) {
            Some(Offset::Offset(o)) if (kept.low..=kept.high).contains(&o) => Ok(o),
            Some(Offset::Offset(o)) => Err(format!(
                "'{option}': group {group} stands at offset {o} of {}-{p}, which has only {} to {}: retention has taken it, or \
                 the topic was made anew; begin at 'earliest-offset' or at 'specific-offsets'",
                self.name, kept.low, kept.high
            )),
            _ => Err(format!(
                "'{option}': group {group} has no offset of {}-{p}; begin at 'earliest-offset' or at 'specific-offsets'",
                self.name
            )),
        };
        self.partitions.iter().zip(kept).map(offset).collect()
    }

    fn given(&self, given: &BTreeMap<i32, i64>, kept: &[Kept], option: &str) -> Result<Vec<i64>, String> {
        if let Some(foreign) = given.keys().find(|p| !self.partitions.contains(p)) {
            let count = self.partitions.len();
            return Err(format!("'{option}': topic {} has no partition {foreign}, only {count}", self.name));
        }
        let offset = |(p, kept): (&i32, &Kept)| match given.get(p) {
            None => Err(format!("'{option}': topic {} has partition {p} too; give it an offset", self.name)),
            Some(o) if (kept.low..=kept.high).contains(o) => Ok(*o),
            Some(o) => {
                Err(format!("'{option}': {}-{p} has no offset {o}, only {} to {}", self.name, kept.low, kept.high))
            }
        };
        self.partitions.iter().zip(kept).map(offset).collect()
    }

    fn failed(&self, error: &KafkaError) -> String {
        format!("topic {}: {}", self.name, explain(self.asker, self.servers, error))
    }
}
