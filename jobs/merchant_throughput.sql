-- Merchant throughput: count, sum, average ticket, decline ratio and distinct cards of each merchant, by minute and hour.
--
--   highwater run jobs/merchant_throughput.sql
--   highwater run jobs/merchant_throughput.sql \
--       -D merchant_hours.connector=filesystem -D merchant_hours.path=hours -D merchant_hours.format=parquet

CREATE TABLE payments (
  ts TIMESTAMP(3),
  card BIGINT,
  merchant BIGINT,
  amount DECIMAL(12, 2),
  status STRING,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'generator',
  'number-of-rows' = '5000000',
  'event-rate' = '100'
);

CREATE TABLE merchant_minutes (
  window_start TIMESTAMP(3),
  window_end TIMESTAMP(3),
  merchant BIGINT,
  payments BIGINT,
  amount DECIMAL(38, 2),
  average_ticket DECIMAL(38, 6),
  declined BIGINT,
  decline_ratio DECIMAL(9, 6),
  cards BIGINT
) WITH ('connector' = 'table', 'max-rows' = '10');

CREATE TABLE merchant_hours (
  window_start TIMESTAMP(3),
  window_end TIMESTAMP(3),
  merchant BIGINT,
  payments BIGINT,
  amount DECIMAL(38, 2),
  average_ticket DECIMAL(38, 6),
  declined BIGINT,
  decline_ratio DECIMAL(9, 6),
  cards BIGINT
) WITH ('connector' = 'table', 'max-rows' = '10');

CREATE TABLE late_payments (
  ts TIMESTAMP(3),
  merchant BIGINT,
  amount DECIMAL(12, 2),
  watermark TIMESTAMP(3),
  lateness_ms BIGINT
) WITH ('connector' = 'blackhole');

INSERT INTO merchant_minutes
SELECT
  window_start, window_end, merchant,
  COUNT(*),
  SUM(amount),
  AVG(amount),
  COUNT(*) FILTER (WHERE status = 'DECLINED'),
  CAST(CAST(COUNT(*) FILTER (WHERE status = 'DECLINED') AS DECIMAL(18, 0)) / CAST(COUNT(*) AS DECIMAL(18, 0))
       AS DECIMAL(9, 6)),
  COUNT(DISTINCT card)
FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, merchant;

INSERT INTO merchant_hours
SELECT
  window_start, window_end, merchant,
  COUNT(*),
  SUM(amount),
  AVG(amount),
  COUNT(*) FILTER (WHERE status = 'DECLINED'),
  CAST(CAST(COUNT(*) FILTER (WHERE status = 'DECLINED') AS DECIMAL(18, 0)) / CAST(COUNT(*) AS DECIMAL(18, 0))
       AS DECIMAL(9, 6)),
  COUNT(DISTINCT card)
FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' HOUR))
GROUP BY window_start, window_end, merchant;

INSERT INTO late_payments
SELECT ts, merchant, amount, watermark, lateness_ms FROM `payments$late`;
