SET 'pipeline.batch-sise' = '100';
SET 'table.exec.state.ttl' = 'a month';
CREATE TABLE payments (
  ts TIMESTAMP(3), card BIGINT, merchant BIGINT, country STRING, amount DECIMAL(12, 2), declined BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'parquet', 'pth' = 'q');
CREATE TABLE hits (card BIGINT, spent DECIMAL(38, 2)) WITH ('connector' = 'blackhole');
CREATE TABLE broken (card BIGNIT) WITH ('connector' = 'blackhole');
CREATE VIEW large AS SELECT crd, amont FROM payments WHERE amount > 1000;
INSERT INTO hits SELECT card, amount FROM large;
INSERT INTO hit SELECT card, amount FROM payments;
INSERT INTO hits
SELECT
  cardd,
  SUMM(amount) OVER (PARTITION BY merchnt ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)
FROM payments
WHERE contry = 'DE' AND amount > ${least} AND NOW() > ts;
INSERT INTO hits SELECT country, declined FROM payments WHERE declined > 5 OR country = declined;
INSERT INTO hits SELECT country, declined FROM payments;
INSERT INTO hits SELECT card, amount FROM payments ORDER BY amount LIMIT 5;
