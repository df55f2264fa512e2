//! The job whose state the tests keep, in a folder or in a bucket.

use std::time::Duration;

/// How long a job may take until it stands where a test wants it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Windows into files and frames into a blackhole, slow enough to be interrupted: five seconds.
pub const JOB: &str = "
SET 'execution.checkpointing.interval' = '50 ms';
CREATE TABLE payments (
  payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, amount DECIMAL(12, 2),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'generator', 'number-of-rows' = '20000', 'rows-per-second' = '4000', 'event-rate' = '20',
        'cards' = '200', 'merchants' = '20');
CREATE TABLE busy (merchant BIGINT, window_end TIMESTAMP(3), n BIGINT)
  WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv', 'sink.rolling-policy.file-size' = '2 kB');
CREATE TABLE velocity (payment_id BIGINT, ts TIMESTAMP(3), n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO busy SELECT merchant, window_end, COUNT(*)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY merchant, window_start, window_end;
INSERT INTO velocity SELECT payment_id, ts, COUNT(*) OVER (PARTITION BY card ORDER BY ts
  RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW) FROM payments;
";

/// As fast as it can.
pub const FAST: [&str; 2] = ["-D", "payments.rows-per-second=1000000"];
