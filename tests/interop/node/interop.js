// `wechatpay-axios-plugin`, unmodified, against a running sandbox: node interop.js <DIR of wechatpay sandbox --dir>
//
// The SDK keeps the official host that is written into it. It finds the sandbox by HTTPS_PROXY and trusts its authority by
// NODE_EXTRA_CA_CERTS. It signs each call and verifies each answer; what the sandbox saw is compared at the end. The last
// line on stdout says how many calls there were.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { once } = require('events');
const { Wechatpay, Aes: { AesGcm }, Formatter, Rsa, Multipart } = require('wechatpay-axios-plugin');

const box = process.argv[2];
const read = (name) => fs.readFileSync(path.join(box, name), 'utf8');
const run = JSON.parse(read('sandbox.json'));
const { mchid, apiv3_key: apiv3Key } = run.merchants[0];
const stocks = JSON.parse(fs.readFileSync(path.join(__dirname, '../stocks.json'), 'utf8'));
const APP = 'wx233544546545989';
const USER = 'oNodeUser1';

const wxpay = new Wechatpay({
  mchid, serial: run.serial_no, privateKey: read('apiclient_key.pem'),
  certs: { [run.public_key_id]: read('pub_key.pem'), [run.platform_serial]: read('platform_cert.pem') },
});
const { favor, busifavor } = wxpay.v3.marketing;

/** What each call came to, in their order: the sandbox's log has to say the same. */
const statuses = [];

/** A call that is done and verified; gives the answer. */
async function done(call, status = 200) {
  const answer = await call;
  statuses.push(answer.status);
  assert.strictEqual(answer.status, status);
  return answer.data;
}

/** A call that the platform refuses as documented. */
async function refused(call, status, code) {
  const error = await call.then(() => assert.fail(`not refused with ${code}`), (failure) => failure);
  assert(error.response, error);
  statuses.push(error.response.status);
  assert.deepStrictEqual([error.response.status, error.response.data.code], [status, code]);
}

/** A call that was done, and whose answer the SDK does not believe, for this reason. */
async function disbelieved(call, reason) {
  const error = await call.then(() => assert.fail(`believed, in spite of ${reason}`), (failure) => failure);
  assert(error.response, error);
  statuses.push(error.response.status);
  assert.deepStrictEqual([error.response.status, error.code], [200, reason]);
}

/** One of the sandbox's own paths, not signed and not by the proxy. */
async function control(name, body) {
  const answer = await fetch(`${run.base_url}/_sandbox/${name}`, body && { method: 'POST', body: JSON.stringify(body) });
  const text = await answer.text();
  assert(answer.ok, `${name}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

/** A moment so many seconds from now, as the API writes it. */
function moment(seconds) {
  return `${new Date(Date.now() + (8 * 3600 + seconds) * 1000).toISOString().slice(0, 19)}+08:00`;
}

/** A stock may not begin in the past, and the machine may be slow: it begins in a minute, and the sandbox's clock is turned. */
const BEGIN = moment(60);
const END = moment(30 * 86400);

let numbers = 0;
function number() {
  numbers += 1;
  return `node_${numbers}`;
}

/** A receiver of notifications that opens them with the SDK and answers as documented. */
async function receiver() {
  const opened = [];
  const server = http.createServer(async (request, answer) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    try {
      opened.push(open(request.headers, Buffer.concat(chunks).toString()));
      answer.writeHead(204).end();
    } catch (error) {
      answer.writeHead(500, { 'Content-Type': 'application/json' }).end(JSON.stringify({ code: 'FAIL', message: error.message }));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { opened, url: `http://127.0.0.1:${server.address().port}/notify`, close: () => server.close() };
}

/** Verifies, then decrypts. */
function open(headers, body) {
  const message = Formatter.response(headers['wechatpay-timestamp'], headers['wechatpay-nonce'], body);
  const key = Rsa.from(read('pub_key.pem'), Rsa.KEY_TYPE_PUBLIC);
  assert.strictEqual(headers['wechatpay-serial'], run.public_key_id);
  assert(Rsa.verify(message, headers['wechatpay-signature'], key), 'the signature does not verify');
  assert(!Rsa.verify(`${message} `, headers['wechatpay-signature'], key), 'anything verifies');
  const { event_type: type, resource } = JSON.parse(body);
  const text = AesGcm.decrypt(resource.ciphertext, apiv3Key, resource.nonce, resource.associated_data);
  return { type, ...JSON.parse(text) };
}

async function certificates() {
  const { data: [certificate] } = await done(wxpay.v3.certificates.get());
  const { ciphertext, nonce, associated_data: associated } = certificate.encrypt_certificate;
  const pem = AesGcm.decrypt(ciphertext, apiv3Key, nonce, associated);
  assert.strictEqual(new crypto.X509Certificate(pem).serialNumber, certificate.serial_no);
  assert.strictEqual(certificate.serial_no, run.platform_serial);
}

async function cashCoupons(notifyUrl) {
  const mine = { stock_creator_mchid: mchid };
  const set = await done(favor.callbacks.post({ mchid, notify_url: notifyUrl, switch: true }));
  assert.strictEqual(set.notify_url, notifyUrl);
  assert.strictEqual((await done(favor.callbacks.get({ params: { mchid } }))).notify_url, notifyUrl);

  const stock = {
    ...stocks.favor, belong_merchant: mchid, available_begin_time: BEGIN, available_end_time: END, out_request_no: number(),
  };
  stock.coupon_use_rule = { ...stock.coupon_use_rule, available_merchants: [mchid] };
  const { stock_id: stockId } = await done(favor.couponStocks.post(stock));
  assert.strictEqual((await done(favor.couponStocks.post(stock))).stock_id, stockId); // the same number again: one effect
  await refused(favor.couponStocks.post({ ...stock, stock_name: '', out_request_no: number() }), 400, 'PARAM_ERROR');
  await done(favor.stocks.$stock_id$.start.post(mine, { stock_id: stockId }));
  await control('clock', { advance_seconds: 90 }); // the stock begins; signatures may be 300 seconds old
  assert.strictEqual((await done(favor.stocks.$stock_id$.get({ params: mine, stock_id: stockId }))).status, 'running');
  assert.strictEqual((await done(favor.stocks.get({ params: { offset: 0, limit: 10, ...mine } }))).total_count, 1);
  const page = { offset: 0, limit: 10, ...mine };
  assert.deepStrictEqual((await done(favor.stocks.$stock_id$.merchants.get({ params: page, stock_id: stockId }))).data, [mchid]);

  const gift = { stock_id: stockId, out_request_no: number(), appid: APP, ...mine };
  const { coupon_id: couponId } = await done(favor.users.$openid$.coupons.post(gift, { openid: USER }));
  const coupon = await done(favor.users.$openid$.coupons.$coupon_id$.get({ params: { appid: APP }, openid: USER, coupon_id: couponId }));
  assert.deepStrictEqual([coupon.stock_id, coupon.status], [stockId, 'SENDED']);
  const held = { appid: APP, creator_mchid: mchid, offset: 0, limit: 20 };
  assert.strictEqual((await done(favor.users.$openid$.coupons.get({ params: held, openid: USER }))).total_count, 1);

  await control('act', { act: 'pay_with_coupon', coupon_id: couponId });
  const used = await done(favor.users.$openid$.coupons.$coupon_id$.get({ params: { appid: APP }, openid: USER, coupon_id: couponId }));
  assert.strictEqual(used.status, 'USED');

  await done(favor.stocks.$stock_id$.pause.post(mine, { stock_id: stockId }));
  await refused(favor.users.$openid$.coupons.post({ ...gift, out_request_no: number() }, { openid: USER }), 400, 'INVALID_REQUEST');
  await done(favor.stocks.$stock_id$.restart.post(mine, { stock_id: stockId }));
  await refused(favor.stocks.$stock_id$.start.post(mine, { stock_id: '404404' }), 404, 'RESOURCE_NOT_EXISTS');
  return { stockId, couponId };
}

async function picture() {
  const file = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64');
  const meta = { filename: 'point.png', sha256: crypto.createHash('sha256').update(file).digest('hex') };
  const form = new Multipart();
  form.append('meta', JSON.stringify(meta), 'meta.json').append('file', file, 'point.png');
  const answer = await done(favor.media.imageUpload.post(form.getBuffer(), { meta, headers: form.getHeaders() }));
  assert(answer.media_url.startsWith('https://'), answer.media_url);
}

async function merchantCoupons(notifyUrl) {
  assert.strictEqual((await done(busifavor.callbacks.post({ mchid, notify_url: notifyUrl }))).notify_url, notifyUrl);
  assert.strictEqual((await done(busifavor.callbacks.get({ params: { mchid } }))).notify_url, notifyUrl);

  const stock = { ...stocks.busifavor, belong_merchant: mchid, coupon_code_mode: 'MERCHANT_UPLOAD', out_request_no: number() };
  const times = { available_begin_time: BEGIN, available_end_time: END };
  stock.coupon_use_rule = { ...stock.coupon_use_rule, coupon_available_time: times };
  stock.notify_config = { notify_appid: APP };
  const { stock_id: stockId } = await done(busifavor.stocks.post(stock));
  assert.strictEqual((await done(busifavor.stocks.$stock_id$.get({ stock_id: stockId }))).stock_name, stock.stock_name);

  const codes = ['NODE0001', 'NODE0002', 'NODE0003'];
  const upload = { coupon_code_list: codes, upload_request_no: number() };
  assert.strictEqual((await done(busifavor.stocks.$stock_id$.couponcodes.post(upload, { stock_id: stockId }))).success_count, 3);
  await done(busifavor.stocks.$stock_id$.couponcodes.post(upload, { stock_id: stockId })); // repeated: nothing twice
  const listed = await done(busifavor.stocks.$stock_id$.couponcodes.get({ params: { offset: 0, limit: 20 }, stock_id: stockId }));
  assert.strictEqual(listed.total_count, 3);
  const one = await done(busifavor.stocks.$stock_id$.couponcodes.$code$.get({ stock_id: stockId, code: codes[0] }));
  assert.strictEqual(one.code_information.code, codes[0]);

  const gift = () => ({ openid: USER, appid: APP, stock_id: stockId, out_request_no: number() });
  const sent = [];
  for (let i = 0; i < 2; i += 1) {
    const answer = await done(busifavor.coupons.send.post(gift()));
    sent.push((answer.send_coupon_result || answer).coupon_code);
  }
  const [first, second] = sent;
  const held = { appid: APP, creator_merchant: mchid, offset: 0, limit: 20 };
  assert.strictEqual((await done(busifavor.users.$openid$.coupons.get({ params: held, openid: USER }))).total_count, 2);
  const where = { openid: USER, code: first, appid: APP };
  const coupon = () => done(busifavor.users.$openid$.coupons.$code$.appids.$appid$.get({ ...where }));
  assert.strictEqual((await coupon()).coupon_state, 'SENDED');

  const order = { stock_id: stockId, coupon_code: first, out_trade_no: 'node_order', out_request_no: number() };
  await done(busifavor.coupons.associate.post(order));
  await done(busifavor.coupons.disassociate.post({ ...order, out_request_no: number() }));
  const use = { stock_id: stockId, coupon_code: first, appid: APP, openid: USER, use_time: moment(0), use_request_no: number() };
  await done(busifavor.coupons.use.post(use));
  assert.strictEqual((await coupon()).coupon_state, 'USED');
  await done(busifavor.coupons.return.post({ stock_id: stockId, coupon_code: first, return_request_no: number() }));
  assert.strictEqual((await coupon()).coupon_state, 'SENDED');
  await done(busifavor.coupons.deactivate.post({
    stock_id: stockId, coupon_code: second, deactivate_request_no: number(), deactivate_reason: '测试',
  }));
  await refused(busifavor.coupons.use.post({ ...use, coupon_code: second, use_request_no: number() }), 403, 'RULELIMIT');
  const left = codes.find((code) => !sent.includes(code));
  await done(busifavor.stocks.$stock_id$.couponcodes.$code$.delete(
    { params: { delete_request_no: number() }, stock_id: stockId, code: left },
  ));
  const budget = { target_max_coupons: 2000, current_max_coupons: 1000, modify_budget_request_no: number() };
  assert.strictEqual((await done(busifavor.stocks.$stock_id$.budget.patch(budget, { stock_id: stockId }))).max_coupons, 2000);
  await done(busifavor.stocks.$stock_id$.patch({ comment: '改过', out_request_no: number() }, { stock_id: stockId }), 204);
  return { stockId, codes: codes.filter((code) => code !== left), sent };
}

/** The SDK's verifier believes nothing that is wrong. */
async function forgeries(stockId) {
  const cases = {
    forge: 'EV3_RES_HEADER_SIGNATURE_DIGEST',
    tamper: 'EV3_RES_HEADER_SIGNATURE_DIGEST',
    probe: 'EV3_RES_HEADER_SIGNATURE_DIGEST',
    stale: 'EV3_RES_HEADER_TIMESTAMP_OFFSET',
    future: 'EV3_RES_HEADER_TIMESTAMP_OFFSET',
    'unknown-serial': 'EV3_RES_HEADER_PLATFORM_SERIAL',
    unsigned: 'EV3_RES_HEADERS_INCOMPLATE',
  };
  for (const [fault, reason] of Object.entries(cases)) {
    const config = { params: { stock_creator_mchid: mchid }, headers: { 'X-Sandbox-Fault': fault }, stock_id: stockId };
    await disbelieved(favor.stocks.$stock_id$.get(config), reason);
  }
}

/** The sandbox saw what was done here, and nothing else. */
async function compare(cash, merchant, opened) {
  const { requests } = await control(`requests?limit=${statuses.length + 10}`);
  assert.deepStrictEqual(requests.reverse().map(({ status }) => status), statuses);
  for (const request of requests) {
    assert.strictEqual(request.checks.signature, 'ok', `${request.method} ${request.target}: ${request.explanation}`);
  }
  const ledger = await control('ledger');
  assert.deepStrictEqual(ledger.stocks.map((stock) => [stock.stock_id, stock.count]).sort(), [[cash.stockId, 1], [merchant.stockId, 1]].sort());
  assert.deepStrictEqual(ledger.coupon_codes.map(({ code, count }) => [code, count]), merchant.codes.map((code) => [code, 1]));
  assert.strictEqual(ledger.coupons.length, 3);
  assert.strictEqual(ledger.payments.length, 1);
  assert(ledger.request_numbers.length > 0 && ledger.request_numbers.every(({ effects }) => effects === 1));

  const { events } = await control('events?settled=true');
  assert.deepStrictEqual(events.map(({ event_type: type }) => type).sort(), opened.map(({ type }) => type).sort());
  const use = opened.filter(({ type }) => type === 'COUPON.USE');
  assert.deepStrictEqual(use.map((event) => event.coupon_id), [cash.couponId]);
  const send = opened.filter(({ type }) => type === 'COUPON.SEND');
  assert.deepStrictEqual(send.map((event) => event.coupon_code).sort(), [...merchant.sent].sort());
}

(async () => {
  const { opened, url, close } = await receiver();
  await certificates();
  const cash = await cashCoupons(url);
  await picture();
  const merchant = await merchantCoupons(url);
  await forgeries(cash.stockId);
  await control('events?settled=true');
  await compare(cash, merchant, opened);
  close();
  console.log(JSON.stringify({ calls: statuses.length, notifications: opened.length }));
})().catch((error) => {
  console.error(`call ${statuses.length}:`, error.response ? { status: error.response.status, data: error.response.data } : '', error.stack);
  process.exit(1);
});
