SET client_encoding = 'UTF8';
INSERT INTO entry (entry_key, author, message, written) VALUES
('6f6a1f0e-52a4-4a53-9f0e-0a5f4ea0c001', 'Amélie', 'Lovely place, back soon.', '2020-10-26 09:00:00.000101'),
('6f6a1f0e-52a4-4a53-9f0e-0a5f4ea0c002', 'Łukasz', 'Greetings from Gdańsk.', '2020-10-27 18:30:00.250000');
