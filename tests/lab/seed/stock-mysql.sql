-- What the orders of seed/postgresql.sql took from the stock, on MariaDB and on MySQL.
/*!80000 SET SESSION cte_max_recursion_depth = 10000 */;
INSERT INTO movement (`key`, pieces, total, moved)
WITH RECURSIVE counted (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM counted WHERE seq < 10000)
SELECT INSERT(INSERT(INSERT(INSERT(LEFT(SHA2(CONCAT('order', seq), 256), 32), 9, 0, '-'), 14, 0, '-'), 19, 0, '-'), 24, 0, '-'),
       1 + seq MOD 4, 8.5 + seq MOD 30, '2021-03-01 11:30:00.000000' + INTERVAL seq * 3 HOUR
FROM counted;
