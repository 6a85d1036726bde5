-- Some years of business: 2,000 customers and 10,000 orders, the same in every lab, on MariaDB and on MySQL.
SET NAMES utf8mb4;
/*!80000 SET SESSION cte_max_recursion_depth = 10000 */;
START TRANSACTION;
INSERT INTO shop_customer (name, phone, email, created)
WITH RECURSIVE counted (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM counted WHERE seq < 2000)
SELECT CONCAT(ELT(1 + seq MOD 5, 'Amélie', 'Łukasz', 'José', 'Zoë', 'Bjørn'), ' ', seq),
       CONCAT('07', LPAD(seq, 8, '0')),
       IF(seq MOD 3 = 0, NULL, CONCAT('client', seq, '@example.org')),
       '2021-01-01 10:00:00.000001' + INTERVAL seq HOUR
FROM counted;
SET @first = (SELECT MIN(id) FROM shop_customer WHERE phone = '0700000001');
INSERT INTO shop_order (`key`, fingerprint, status, total, note, options, placed, ready, customer_id, export_id, pizzeria_id)
WITH RECURSIVE counted (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM counted WHERE seq < 10000)
SELECT INSERT(INSERT(INSERT(INSERT(LEFT(SHA2(CONCAT('order', seq), 256), 32), 9, 0, '-'), 14, 0, '-'), 19, 0, '-'), 24, 0, '-'),
       UNHEX(SHA2(CONCAT('order', seq), 256)),
       IF(seq MOD 50 = 0, 'cancelled', 'delivered'),
       0,
       IF(seq MOD 7 = 0, 'ring twice 🍕', ''),
       IF(seq MOD 11 = 0, '{"sliced": true}', '{}'),
       '2021-03-01 11:30:00.000000' + INTERVAL seq * 3 HOUR,
       '2021-03-01 11:52:00.000000' + INTERVAL seq * 3 HOUR,
       @first + seq MOD 2000, NULL, 1 + seq MOD (SELECT COUNT(*) FROM shop_pizzeria)
FROM counted;
INSERT INTO shop_orderline (quantity, unit_price, order_id, pizza_id)
SELECT 1 + (o.id + p.id) MOD 3, p.price, o.id, p.id
FROM shop_order o JOIN shop_pizza p ON p.id IN (1 + o.id MOD 20, 1 + (o.id * 7 + 3) MOD 20);
UPDATE shop_order o
JOIN (SELECT order_id, SUM(quantity * unit_price) AS sum FROM shop_orderline GROUP BY order_id) l ON l.order_id = o.id
SET o.total = l.sum;
COMMIT;
