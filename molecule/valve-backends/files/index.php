<?php
$began = hrtime(true) / 1e9;
$body = file_get_contents('php://input');
[$path, $query] = array_pad(explode('?', $_SERVER['REQUEST_URI'], 2), 2, '');
$path = rawurldecode($path);
if (preg_match('/\d+$/', $path, $found)) {
    usleep(1000 * (int) $found[0]);
}
$text = json_encode([
    'server' => 'old',
    'method' => $_SERVER['REQUEST_METHOD'],
    'path' => $path,
    'query' => $query,
    'host' => $_SERVER['HTTP_HOST'],
    'client' => $_SERVER['REMOTE_ADDR'],
    'scheme' => empty($_SERVER['HTTPS']) ? 'http' : 'https',
    'bytes' => strlen($body),
]);
file_put_contents('/srv/noted/' . $_SERVER['HTTP_HOST'], sprintf("%.6f %.6f\n", $began, hrtime(true) / 1e9), FILE_APPEND);
header('Content-Type: application/json');
header('Content-Length: ' . strlen($text));
echo $text;
