-- Some years of business: 2,000 customers and 10,000 orders, the same in every lab.
SET client_encoding = 'UTF8';
START TRANSACTION;
INSERT INTO shop_customer (name, phone, email, created)
SELECT (ARRAY['Amélie', 'Łukasz', 'José', 'Zoë', 'Bjørn'])[1 + seq % 5] || ' ' || seq,
       '07' || lpad(seq::text, 8, '0'),
       CASE WHEN seq % 3 <> 0 THEN 'client' || seq || '@example.org' END,
       '2021-01-01 10:00:00.000001+00'::timestamptz + seq * interval '1 hour'
FROM generate_series(1, 2000) AS seq;
INSERT INTO shop_order (key, fingerprint, status, total, note, options, placed, ready, customer_id, export_id, pizzeria_id)
SELECT left(encode(sha256(('order' || seq)::bytea), 'hex'), 32)::uuid::text,
       sha256(('order' || seq)::bytea),
       CASE WHEN seq % 50 = 0 THEN 'cancelled' ELSE 'delivered' END,
       0,
       CASE WHEN seq % 7 = 0 THEN 'ring twice 🍕' ELSE '' END,
       CASE WHEN seq % 11 = 0 THEN '{"sliced": true}' ELSE '{}' END::jsonb,
       '2021-03-01 11:30:00+00'::timestamptz + seq * interval '3 hours',
       '2021-03-01 11:52:00+00'::timestamptz + seq * interval '3 hours',
       (SELECT min(id) FROM shop_customer WHERE phone = '0700000001') + seq % 2000,
       NULL, 1 + seq % (SELECT count(*) FROM shop_pizzeria)
FROM generate_series(1, 10000) AS seq;
INSERT INTO shop_orderline (quantity, unit_price, order_id, pizza_id)
SELECT 1 + (o.id + p.id) % 3, p.price, o.id, p.id
FROM shop_order o JOIN shop_pizza p ON p.id IN (1 + o.id % 20, 1 + (o.id * 7 + 3) % 20);
UPDATE shop_order o SET total = l.sum
FROM (SELECT order_id, sum(quantity * unit_price) AS sum FROM shop_orderline GROUP BY order_id) l
WHERE l.order_id = o.id;
COMMIT;
