-- Made by dump.py from the models; do not edit.
SET NAMES utf8mb4;
START TRANSACTION;
CREATE TABLE `movement` (`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY, `key` varchar(36) NOT NULL UNIQUE, `pieces` integer UNSIGNED NOT NULL CHECK (`pieces` >= 0), `total` numeric(8, 2) NOT NULL, `moved` datetime(6) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
COMMIT;
