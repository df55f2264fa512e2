//! Every limit of the engine, with its name.

/// Epochs in flight before sources stop reading.
pub const EPOCHS_IN_FLIGHT_MAX: u64 = 3;
/// Late and bad rows that a job without routing keeps of each source for its final report.
pub const UNROUTED_ROWS_KEPT_MAX: usize = 1_000;
/// The last rows of a partition among which bad ones are counted.
pub const BAD_SHARE_ROWS: u32 = 10_000;
/// So many of them may be bad, unless the table says otherwise.
pub const BAD_ROWS_MAX: u32 = BAD_SHARE_ROWS / 2;
/// Buckets of a sink's digest; when there are more, the bucket width doubles.
pub const DIGEST_BUCKETS_MAX: usize = 4_096;
/// Workers of a job.
pub const WORKERS_MAX: usize = crate::hash::KEY_GROUPS;
/// Partitions of a table that are open at once, unless the table says otherwise: a further one waits until it is the one
/// furthest behind in event time.
pub const PARTITIONS_OPEN: u32 = 64;
/// Partitions that may be open at once because they overlap in event time.
pub const PARTITIONS_OPEN_MAX: u32 = 1_024;
/// Rows a worker decodes ahead of a split's turn.
pub const DECODED_AHEAD_ROWS_MAX: usize = 1 << 20;

const _: () = assert!(PARTITIONS_OPEN <= PARTITIONS_OPEN_MAX);
