-- Replay: fraud_velocity.sql and merchant_throughput.sql in one job, to be run over history. alerts, merchant_minutes and
-- merchant_hours are as there, with the same digests over the same payments; bursts are counted by the hour.
--
--   highwater generate --rows 5000000 --out history
--   highwater replay jobs/replay_history.sql --summary replay.json \
--       -D payments.connector=filesystem -D payments.path=history -D payments.format=parquet
--   highwater replay jobs/replay_history.sql --from 2026-01-01T06:00 --to 2026-01-01T12:00 \
--       -D payments.connector=filesystem -D payments.path=history -D payments.format=parquet
--
-- The same payments give the same digests, from the generator or from files, whole or in part, at any --workers.

CREATE TABLE payments (
  payment_id BIGINT,
  ts TIMESTAMP(3),
  card BIGINT,
  merchant BIGINT,
  device BIGINT,
  country STRING,
  amount DECIMAL(12, 2),
  status STRING,
  is_fraud BOOLEAN,
  burst_id BIGINT,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'generator',
  'number-of-rows' = '5000000',
  'event-rate' = '100'
);

CREATE TABLE alerts (
  ts TIMESTAMP(3),
  payment_id BIGINT,
  card BIGINT,
  merchant BIGINT,
  device BIGINT,
  amount DECIMAL(12, 2),
  rules STRING,
  card_count_1m BIGINT,
  card_merchants_1m BIGINT,
  card_count_10m BIGINT,
  card_sum_10m DECIMAL(38, 2),
  card_merchants_10m BIGINT,
  card_count_1h BIGINT,
  card_countries_1h BIGINT,
  card_count_24h BIGINT,
  card_sum_24h DECIMAL(38, 2),
  device_cards_1h BIGINT,
  device_cards_24h BIGINT,
  merchant_count_10m BIGINT,
  merchant_small_10m BIGINT,
  merchant_small_cards_10m BIGINT,
  burst_id BIGINT
) WITH ('connector' = 'table', 'max-rows' = '10');

CREATE TABLE bursts_by_hour (
  hour_start TIMESTAMP(3),
  payments BIGINT,
  alerts BIGINT,
  bursts_planted BIGINT,
  bursts_caught BIGINT
) WITH ('connector' = 'table', 'max-rows' = '24');

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
) WITH ('connector' = 'blackhole');

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
  payment_id BIGINT,
  watermark TIMESTAMP(3),
  lateness_ms BIGINT
) WITH ('connector' = 'blackhole');

CREATE VIEW velocity AS
SELECT
  payment_id, ts, card, merchant, device, amount, is_fraud, burst_id,
  COUNT(*) OVER card_1m AS card_count_1m,
  COUNT(DISTINCT merchant) OVER card_1m AS card_merchants_1m,
  COUNT(*) OVER card_10m AS card_count_10m,
  SUM(amount) OVER card_10m AS card_sum_10m,
  COUNT(DISTINCT merchant) OVER card_10m AS card_merchants_10m,
  COUNT(*) OVER card_1h AS card_count_1h,
  COUNT(DISTINCT country) OVER card_1h AS card_countries_1h,
  COUNT(*) OVER card_24h AS card_count_24h,
  SUM(amount) OVER card_24h AS card_sum_24h,
  COUNT(DISTINCT card) OVER device_1h AS device_cards_1h,
  COUNT(DISTINCT card) OVER device_24h AS device_cards_24h,
  COUNT(*) OVER merchant_10m AS merchant_count_10m,
  COUNT(*) FILTER (WHERE amount < 5.00) OVER merchant_10m AS merchant_small_10m,
  COUNT(DISTINCT card) FILTER (WHERE amount < 5.00) OVER merchant_10m AS merchant_small_cards_10m
FROM payments
WINDOW
  card_1m AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW),
  card_10m AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW),
  card_1h AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW),
  card_24h AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW),
  device_1h AS (PARTITION BY device ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW),
  device_24h AS (PARTITION BY device ORDER BY ts RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW),
  merchant_10m AS (PARTITION BY merchant ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW);

CREATE VIEW decided AS
SELECT
  *,
  CONCAT_WS(',',
    CASE WHEN card_count_1m >= 5 AND card_merchants_1m >= 4 THEN 'rush' END,
    CASE WHEN card_count_10m >= 8 AND card_merchants_10m >= 6 THEN 'spree' END,
    CASE WHEN card_countries_1h >= 4 AND card_count_1h >= 6 THEN 'countries' END,
    CASE WHEN card_sum_24h > 20000 AND card_count_24h >= 40 THEN 'daily' END,
    CASE WHEN device_cards_1h >= 5 THEN 'device' END,
    CASE WHEN device_cards_24h >= 12 THEN 'device_daily' END,
    CASE WHEN merchant_small_cards_10m >= 8 AND merchant_small_10m * 2 >= merchant_count_10m THEN 'card_testing' END
  ) AS rules
FROM velocity;

INSERT INTO alerts
SELECT
  ts, payment_id, card, merchant, device, amount, rules,
  card_count_1m, card_merchants_1m, card_count_10m, card_sum_10m, card_merchants_10m,
  card_count_1h, card_countries_1h, card_count_24h, card_sum_24h,
  device_cards_1h, device_cards_24h, merchant_count_10m, merchant_small_10m, merchant_small_cards_10m, burst_id
FROM decided
WHERE rules <> '';

INSERT INTO bursts_by_hour
SELECT
  window_start,
  COUNT(*),
  COUNT(*) FILTER (WHERE rules <> ''),
  COUNT(DISTINCT burst_id),
  COUNT(DISTINCT burst_id) FILTER (WHERE rules <> '')
FROM TABLE(TUMBLE(TABLE decided, DESCRIPTOR(ts), INTERVAL '1' HOUR))
GROUP BY window_start, window_end;

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
SELECT ts, payment_id, watermark, lateness_ms FROM `payments$late`;
