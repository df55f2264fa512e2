-- The job whose state is kept beside it: every kind of step that keeps state, one into files, the others into nothing.
SET 'execution.checkpointing.interval' = '80 ms';
SET 'table.exec.state.ttl' = '10 min';
CREATE TABLE payments (
  payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, country STRING, amount DECIMAL(12, 2),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'generator', 'number-of-rows' = '1500', 'rows-per-second' = '500', 'event-rate' = '20',
        'cards' = '8', 'merchants' = '5');
CREATE TABLE busy (merchant BIGINT, window_end TIMESTAMP(3), n BIGINT, total DECIMAL(38, 2), countries BIGINT, middle DECIMAL(38, 6))
  WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv', 'sink.rolling-policy.file-size' = '1 kB');
CREATE TABLE sliding (card BIGINT, window_end TIMESTAMP(3), n BIGINT, mean DECIMAL(38, 6), spread DECIMAL(38, 6)) WITH ('connector' = 'blackhole');
CREATE TABLE visits (card BIGINT, window_start TIMESTAMP(3), window_end TIMESTAMP(3), n BIGINT, places STRING)
  WITH ('connector' = 'blackhole');
CREATE TABLE days (merchant BIGINT, window_start TIMESTAMP(3), n BIGINT, lowest DECIMAL(12, 2)) WITH ('connector' = 'blackhole');
CREATE TABLE largest (merchant BIGINT, window_start TIMESTAMP(3), payment_id BIGINT, amount DECIMAL(12, 2)) WITH ('connector' = 'blackhole');
CREATE TABLE velocity (payment_id BIGINT, ts TIMESTAMP(3), n BIGINT, least DECIMAL(12, 2), merchants BIGINT, before BIGINT, today BIGINT)
  WITH ('connector' = 'blackhole');
CREATE TABLE at_once (payment_id BIGINT, n BIGINT, total DECIMAL(38, 2), countries BIGINT)
  WITH ('connector' = 'blackhole', 'emit' = 'arrival');
CREATE TABLE news (card BIGINT, merchant BIGINT, payment_id BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO busy SELECT merchant, window_end, COUNT(*), SUM(amount), COUNT(DISTINCT country), MEDIAN(amount)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY merchant, window_start, window_end;
INSERT INTO sliding SELECT card, window_end, COUNT(*), AVG(amount), STDDEV_POP(amount)
  FROM TABLE(HOP(TABLE payments, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '1' MINUTE)) GROUP BY card, window_start, window_end;
INSERT INTO visits SELECT card, window_start, window_end, COUNT(*), LISTAGG(country, ',')
  FROM TABLE(SESSION(TABLE payments PARTITION BY card, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY card, window_start, window_end;
INSERT INTO days SELECT merchant, window_start, COUNT(*), MIN(amount)
  FROM TABLE(CUMULATE(TABLE payments, DESCRIPTOR(ts), INTERVAL '20' SECOND, INTERVAL '1' MINUTE)) GROUP BY merchant, window_start, window_end;
INSERT INTO largest SELECT merchant, window_start, payment_id, amount FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY merchant, window_start, window_end ORDER BY amount DESC) AS place
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) WHERE place <= 3;
INSERT INTO velocity SELECT payment_id, ts, COUNT(*) OVER w, MIN(amount) OVER w, COUNT(DISTINCT merchant) OVER w, LAG(merchant) OVER w,
  COUNT(*) OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN START OF DAY PRECEDING AND CURRENT ROW)
  FROM payments WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW);
INSERT INTO at_once SELECT payment_id, COUNT(*) OVER w, SUM(amount) OVER w, COUNT(DISTINCT country) OVER w
  FROM payments WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW);
INSERT INTO news SELECT card, merchant, payment_id FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY card, merchant ORDER BY ts) AS place FROM payments) WHERE place = 1;
