-- Fraud velocity: what a card, a device and a merchant did in the time before each payment, decided payment by payment.
--
--   highwater run jobs/fraud_velocity.sql
--   highwater run jobs/fraud_velocity.sql --workers 2 -D payments.number-of-rows=20000000
--   highwater run jobs/fraud_velocity.sql -D alerts.emit=arrival           (answer each payment when it arrives)
--   highwater run jobs/fraud_velocity.sql -D alerts.connector=filesystem -D alerts.path=alerts -D alerts.format=parquet

CREATE TABLE payments (
  payment_id BIGINT,
  ts TIMESTAMP(3),
  card BIGINT,
  merchant BIGINT,
  device BIGINT,
  country STRING,
  amount DECIMAL(12, 2),
  is_fraud BOOLEAN,
  burst_id BIGINT,                    -- which planted burst of fraud the payment belongs to, NULL for the others
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'generator',
  'number-of-rows' = '5000000',
  'event-rate' = '20'                 -- payments per second of event time: not quite three days
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
) WITH ('connector' = 'table', 'max-rows' = '15');

CREATE TABLE bursts_by_day (
  day TIMESTAMP(3),
  payments BIGINT,
  fraud BIGINT,
  alerts BIGINT,
  false_alerts BIGINT,
  bursts_planted BIGINT,
  bursts_caught BIGINT
) WITH ('connector' = 'table');

CREATE TABLE late_payments (
  ts TIMESTAMP(3),
  payment_id BIGINT,
  card BIGINT,
  amount DECIMAL(12, 2),
  watermark TIMESTAMP(3),
  lateness_ms BIGINT
) WITH ('connector' = 'blackhole');

-- One log of payments for each key; every frame and aggregate reads it.
CREATE VIEW velocity AS
SELECT
  payment_id, ts, card, merchant, device, amount, is_fraud, burst_id,
  COUNT(*) OVER card_1m AS card_count_1m,
  SUM(amount) OVER card_1m AS card_sum_1m,
  COUNT(DISTINCT merchant) OVER card_1m AS card_merchants_1m,
  COUNT(DISTINCT country) OVER card_1m AS card_countries_1m,
  COUNT(*) OVER card_10m AS card_count_10m,
  SUM(amount) OVER card_10m AS card_sum_10m,
  COUNT(DISTINCT merchant) OVER card_10m AS card_merchants_10m,
  COUNT(DISTINCT country) OVER card_10m AS card_countries_10m,
  COUNT(*) OVER card_1h AS card_count_1h,
  SUM(amount) OVER card_1h AS card_sum_1h,
  COUNT(DISTINCT merchant) OVER card_1h AS card_merchants_1h,
  COUNT(DISTINCT country) OVER card_1h AS card_countries_1h,
  COUNT(*) OVER card_24h AS card_count_24h,
  SUM(amount) OVER card_24h AS card_sum_24h,
  COUNT(DISTINCT merchant) OVER card_24h AS card_merchants_24h,
  COUNT(DISTINCT country) OVER card_24h AS card_countries_24h,
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

-- The rules, each named by the text it adds to an alert.
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

-- How good the rules are: planted bursts by day, and those with at least one alert.
INSERT INTO bursts_by_day
SELECT
  window_start,
  COUNT(*),
  COUNT(*) FILTER (WHERE is_fraud),
  COUNT(*) FILTER (WHERE rules <> ''),
  COUNT(*) FILTER (WHERE rules <> '' AND NOT is_fraud),
  COUNT(DISTINCT burst_id),
  COUNT(DISTINCT burst_id) FILTER (WHERE rules <> '')
FROM TABLE(TUMBLE(TABLE decided, DESCRIPTOR(ts), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

INSERT INTO late_payments
SELECT ts, payment_id, card, amount, watermark, lateness_ms FROM `payments$late`;
