<?php
// A first verified call with nothing but PHP and its openssl (8.0 or newer): php first.php

$mchid = getenv('WECHATPAY_MCHID');
$path = "/v3/marketing/favor/stocks?offset=0&limit=10&stock_creator_mchid=$mchid";
$nonce = bin2hex(random_bytes(16));
$now = time();

// Five lines, each with its line feed; the last is the body, empty here.
$message = "GET\n$path\n$now\n$nonce\n\n";
openssl_sign($message, $signature, file_get_contents(getenv('WECHATPAY_PRIVATE_KEY')), 'sha256WithRSAEncryption') || exit(1);
$authorization = sprintf(
    'WECHATPAY2-SHA256-RSA2048 mchid="%s",nonce_str="%s",timestamp="%d",serial_no="%s",signature="%s"',
    $mchid, $nonce, $now, getenv('WECHATPAY_SERIAL_NO'), base64_encode($signature)
);
$body = file_get_contents(getenv('WECHATPAY_BASE_URL') . $path, false, stream_context_create(['http' => [
    'header' => ['Accept: application/json', 'User-Agent: first.php', "Authorization: $authorization"],
    'ignore_errors' => true,
]]));
if ($body === false) {
    exit(1);
}

$head = [];
foreach (array_slice($http_response_header, 1) as $line) {
    [$name, $value] = explode(':', $line, 2);
    $head[strtolower($name)] = trim($value);
}
if (($head['wechatpay-serial'] ?? '') !== getenv('WECHATPAY_PUBLIC_KEY_ID')) {
    fwrite(STDERR, "$http_response_header[0], not signed by the key that is known: $body\n");
    exit(1);
}
$message = "{$head['wechatpay-timestamp']}\n{$head['wechatpay-nonce']}\n$body\n";
$public = file_get_contents(getenv('WECHATPAY_PUBLIC_KEY'));
if (openssl_verify($message, base64_decode($head['wechatpay-signature']), $public, 'sha256WithRSAEncryption') !== 1) {
    fwrite(STDERR, "the answer does not verify\n");
    exit(1);
}
echo "$http_response_header[0] verified $body\n";
