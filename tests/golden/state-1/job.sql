-- The job whose state is kept beside it: windows with distinct counts into files, trailing frames into nothing.
SET 'execution.checkpointing.interval' = '50 ms';
CREATE TABLE payments (
  payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, country STRING, amount DECIMAL(12, 2),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'generator', 'number-of-rows' = '2000', 'rows-per-second' = '1000', 'event-rate' = '20',
        'cards' = '6', 'merchants' = '4');
CREATE TABLE busy (merchant BIGINT, window_end TIMESTAMP(3), n BIGINT, total DECIMAL(38, 2), countries BIGINT)
  WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv', 'sink.rolling-policy.file-size' = '1 kB');
CREATE TABLE velocity (payment_id BIGINT, ts TIMESTAMP(3), n BIGINT, least DECIMAL(12, 2), merchants BIGINT)
  WITH ('connector' = 'blackhole');
INSERT INTO busy SELECT merchant, window_end, COUNT(*), SUM(amount), COUNT(DISTINCT country)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '30' SECOND)) GROUP BY merchant, window_start, window_end;
INSERT INTO velocity SELECT payment_id, ts, COUNT(*) OVER w, MIN(amount) OVER w, COUNT(DISTINCT merchant) OVER w
  FROM payments WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW);
