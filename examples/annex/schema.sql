SET NAMES utf8mb4;
CREATE TABLE entry (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    entry_key char(36) NOT NULL UNIQUE,
    author varchar(80) NOT NULL,
    message text NOT NULL,
    written datetime(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
