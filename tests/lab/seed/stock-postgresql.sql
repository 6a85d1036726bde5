-- What the orders of seed/mysql.sql took from the stock.
INSERT INTO movement (key, pieces, total, moved)
SELECT left(encode(sha256(('order' || seq)::bytea), 'hex'), 32)::uuid::text, 1 + seq % 4, 8.5 + seq % 30,
       '2021-03-01 11:30:00+00'::timestamptz + seq * interval '3 hours'
FROM generate_series(1, 10000) AS seq;
