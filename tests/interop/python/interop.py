"""`wechatpayv3`, unmodified, against a running sandbox: python interop.py <DIR of wechatpay sandbox --dir>

The SDK keeps the official host that is written into it. It finds the sandbox by its own argument `proxy` and trusts its
authority by REQUESTS_CA_BUNDLE. It signs each call and verifies each answer; what the sandbox saw is compared at the end.
The last line on stdout says how many calls there were.
"""

import json
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.type import RequestType

BOX = Path(sys.argv[1])
RUN = json.loads((BOX / "sandbox.json").read_text())
STOCKS = json.loads((Path(__file__).parent.parent / "stocks.json").read_text())
MCHID = RUN["mchid"]
APP = "wx233544546545989"
USER = "oPythonUser1"


def client(**trust):
    """The SDK as its own documents configure it."""
    return WeChatPay(
        wechatpay_type=WeChatPayType.NATIVE, mchid=MCHID, private_key=(BOX / "apiclient_key.pem").read_text(),
        cert_serial_no=RUN["serial_no"], apiv3_key=RUN["merchants"][0]["apiv3_key"], appid=APP,
        proxy={"https": RUN["proxy_url"]}, **trust)


def by_public_key():
    return client(public_key=(BOX / "pub_key.pem").read_text(), public_key_id=RUN["public_key_id"])


# What each call came to, in their order: the sandbox's log has to say the same.
statuses = []


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def done(answer, status=200):
    """A call that is done and verified; gives the answer."""
    code, text = answer
    statuses.append(code)
    if code != status:
        raise AssertionError(f"{code} {text}")
    return json.loads(text) if text else None


def refused(answer, status, error):
    """A call that the platform refuses as documented."""
    code, text = answer
    statuses.append(code)
    equal((code, json.loads(text)["code"]), (status, error))


def disbelieved(call, fault, reason):
    """A call that was done, and whose answer the SDK does not believe, for this reason."""
    control("faults", {"fault": fault, "nth": 1})
    try:
        call()
    except Exception as error:
        if reason not in str(error):
            raise
    else:
        raise AssertionError(f"believed an answer with the fault {fault}")
    finally:
        statuses.append(200)
        control("faults", method="DELETE")


def control(name, body=None, method=None):
    """One of the sandbox's own paths, not signed and not by the proxy."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{RUN['base_url']}/_sandbox/{name}", data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as answer:
        return json.loads(answer.read())


def moment(seconds):
    """A moment so many seconds from now, as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+08:00", time.gmtime(time.time() + 8 * 3600 + seconds))


# A stock may not begin in the past, and the machine may be slow: it begins in a minute, and the sandbox's clock is turned.
BEGIN = moment(60)
END = moment(30 * 86400)


def number():
    number.count += 1
    return f"python_{number.count}"


number.count = 0


class Receiver(BaseHTTPRequestHandler):
    """Opens notifications with the SDK's callback and answers as documented."""

    opened = []
    sdk = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = dict(self.headers.items())
        if self.sdk.callback(headers, body.replace(b"encrypt-resource", b"encrypt-resourcf")) is not None:
            raise AssertionError("a changed notification was believed")
        event = self.sdk.callback(headers, body)
        if event:
            self.opened.append(event)
        self.send_response(204 if event else 500)
        self.end_headers()

    def log_message(self, *_):
        pass


def receiver(sdk):
    Receiver.sdk = sdk
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/notify"


def certificates():
    """Without a public key the SDK downloads the platform certificates, and believes what they verify."""
    control("settings", {"sign_with": "certificate"})
    sdk = client()
    statuses.append(200)  # GET /v3/certificates
    equal(done(sdk.marketing_favor_stock_list(MCHID))["total_count"], 0)
    disbelieved(lambda: sdk.marketing_favor_stock_list(MCHID), "forge", "failed to verify")
    control("settings", {"sign_with": "public_key"})


def cash_coupons(sdk, url):
    equal(done(sdk.marketing_favor_callback_update(notify_url=url))["notify_url"], url)

    stock = STOCKS["favor"] | {"belong_merchant": MCHID, "available_begin_time": BEGIN, "available_end_time": END}
    stock["coupon_use_rule"] = stock["coupon_use_rule"] | {"available_merchants": [MCHID]}
    # The SDK leaves out no_cash=False, which the documents require.
    refused(sdk.marketing_favor_stock_create(**stock, out_request_no=number()), 400, "PARAM_ERROR")
    stock["out_request_no"] = number()
    create = lambda: sdk._core.request("/v3/marketing/favor/coupon-stocks", method=RequestType.POST, data=stock)
    stock_id = done(create())["stock_id"]
    equal(done(create())["stock_id"], stock_id)  # the same number again: one effect
    done(sdk.marketing_favor_stock_start(MCHID, stock_id))
    control("clock", {"advance_seconds": 90})  # the stock begins; signatures may be 300 seconds old
    equal(done(sdk.marketing_favor_stock_detail(MCHID, stock_id))["status"], "running")
    equal(done(sdk.marketing_favor_stock_list(MCHID))["total_count"], 1)
    equal(done(sdk.marketing_favor_stock_merchant(MCHID, stock_id))["data"], [MCHID])
    done(sdk.marketing_favor_stock_item(MCHID, stock_id))

    coupon_id = done(sdk.marketing_favor_stock_send(stock_id, USER, number(), MCHID))["coupon_id"]
    equal(done(sdk.marketing_favor_coupon_detail(coupon_id, USER))["status"], "SENDED")
    equal(done(sdk.marketing_favor_user_coupon(USER, creator_mchid=MCHID))["total_count"], 1)
    control("act", {"act": "pay_with_coupon", "coupon_id": coupon_id})
    equal(done(sdk.marketing_favor_coupon_detail(coupon_id, USER))["status"], "USED")

    done(sdk.marketing_favor_stock_pause(MCHID, stock_id))
    refused(sdk.marketing_favor_stock_send(stock_id, USER, number(), MCHID), 400, "INVALID_REQUEST")
    done(sdk.marketing_favor_stock_restart(MCHID, stock_id))
    refused(sdk.marketing_favor_stock_start(MCHID, "404404"), 404, "RESOURCE_NOT_EXISTS")
    return stock_id, coupon_id


def picture(sdk):
    path = BOX / "point.png"
    path.write_bytes(bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63fccfc0500f00"
        "04850180 84a98c210000000049454e44ae426082"))
    done(sdk.marketing_image_upload(str(path)))


def merchant_coupons(sdk, url):
    equal(done(sdk.marketing_busifavor_callback_update(notify_url=url))["notify_url"], url)
    equal(done(sdk.marketing_busifavor_callback_query())["notify_url"], url)

    stock = STOCKS["busifavor"] | {"belong_merchant": MCHID, "coupon_code_mode": "MERCHANT_UPLOAD"}
    stock["coupon_use_rule"] = stock["coupon_use_rule"] | {
        "coupon_available_time": {"available_begin_time": BEGIN, "available_end_time": END}}
    stock |= {"notify_config": {"notify_appid": APP}, "out_request_no": number()}
    stock_id = done(sdk.marketing_busifavor_stock_create(**stock))["stock_id"]
    equal(done(sdk.marketing_busifavor_stock_query(stock_id))["stock_name"], stock["stock_name"])

    codes = ["PYTHON0001", "PYTHON0002", "PYTHON0003"]
    upload = number()
    equal(done(sdk.marketing_busifavor_couponcode_upload(stock_id, upload, codes))["success_count"], 3)
    done(sdk.marketing_busifavor_couponcode_upload(stock_id, upload, codes))  # repeated: nothing twice
    # The SDK has no method for these two.
    listed = done(sdk._core.request(f"/v3/marketing/busifavor/stocks/{stock_id}/couponcodes?offset=0&limit=20"))
    equal(listed["total_count"], 3)
    one = done(sdk._core.request(f"/v3/marketing/busifavor/stocks/{stock_id}/couponcodes/{codes[0]}"))
    equal(one["code_information"]["code"], codes[0])

    sent = []
    for _ in range(2):
        gift = {"openid": USER, "appid": APP, "stock_id": stock_id, "out_request_no": number()}
        answer = done(sdk._core.request("/v3/marketing/busifavor/coupons/send", method=RequestType.POST, data=gift))
        sent.append(answer.get("send_coupon_result", answer)["coupon_code"])
    first, second = sent
    state = lambda: done(sdk.marketing_busifavor_coupon_detail(first, USER))["coupon_state"]
    equal(done(sdk.marketing_busifavor_user_coupon(USER, creator_merchant=MCHID))["total_count"], 2)
    equal(state(), "SENDED")
    done(sdk.marketing_busifavor_coupon_associate(stock_id, first, "python_order", number()))
    done(sdk.marketing_busifavor_coupon_disassociate(stock_id, first, "python_order", number()))
    done(sdk.marketing_busifavor_coupon_use(first, moment(0), number(), stock_id=stock_id, openid=USER))
    equal(state(), "USED")
    done(sdk.marketing_busifavor_coupon_return(first, stock_id, number()))
    equal(state(), "SENDED")
    done(sdk.marketing_busifavor_coupon_deactivate(second, stock_id, number(), deactivate_reason="测试"))
    use = sdk.marketing_busifavor_coupon_use(second, moment(0), number(), stock_id=stock_id, openid=USER)
    refused(use, 403, "RULELIMIT")
    budget = sdk.marketing_busifavor_stock_budget(stock_id, number(), target_max_coupons=2000, current_max_coupons=1000)
    equal(done(budget)["max_coupons"], 2000)
    done(sdk.marketing_busifavor_stock_modify(stock_id, number(), comment="改过"), 204)
    return stock_id, codes, sent


def partnerships(sdk, stock_id):
    """The SDK signs the JSON of the query as it is, and sends it percent-encoded."""
    refused(sdk.marketing_partnership_query("FAVOR_STOCK", stock_id), 401, "SIGN_ERROR")


def forgeries(sdk, stock_id):
    """The SDK's verifier believes nothing that is wrongly signed."""
    read = lambda: sdk.marketing_favor_stock_detail(MCHID, stock_id)
    cases = {
        "forge": "failed to verify", "tamper": "failed to verify", "unsigned": "does not support this algorithm",
        "probe": "",
    }
    for fault, reason in cases.items():
        disbelieved(read, fault, reason)
    # It does not look at the time: an answer of ten minutes ago is believed.
    control("faults", {"fault": "stale", "nth": 1})
    done(read())
    control("faults", method="DELETE")


def compare(cash, merchant):
    """The sandbox saw what was done here, and nothing else."""
    seen = control(f"requests?limit={len(statuses) + 10}")["requests"][::-1]
    equal([request["status"] for request in seen], statuses)
    for request in seen:
        wrong = request["target"].startswith("/v3/marketing/partnerships?")
        if request["checks"]["signature"] != ("failed" if wrong else "ok"):
            raise AssertionError(f"{request['method']} {request['target']}: {request['explanation']}")
    ledger = control("ledger")
    equal(sorted((stock["stock_id"], stock["count"]) for stock in ledger["stocks"]), sorted([(cash[0], 1), (merchant[0], 1)]))
    equal([(code["code"], code["count"]) for code in ledger["coupon_codes"]], [(code, 1) for code in merchant[1]])
    equal((len(ledger["coupons"]), len(ledger["payments"])), (3, 1))
    equal({number["effects"] for number in ledger["request_numbers"]}, {1})

    events = control("events?settled=true")["events"]
    opened = Receiver.opened
    equal(sorted(event["event_type"] for event in events), sorted(event["event_type"] for event in opened))
    resources = lambda kind: [event["resource"] for event in opened if event["event_type"] == kind]
    equal([use["coupon_id"] for use in resources("COUPON.USE")], [cash[1]])
    equal(sorted(send["coupon_code"] for send in resources("COUPON.SEND")), sorted(merchant[2]))


def main():
    certificates()
    sdk = by_public_key()
    url = receiver(sdk)
    cash = cash_coupons(sdk, url)
    picture(sdk)
    merchant = merchant_coupons(sdk, url)
    partnerships(sdk, cash[0])
    forgeries(sdk, cash[0])
    control("events?settled=true")
    compare(cash, merchant)
    print(json.dumps({"calls": len(statuses), "notifications": len(Receiver.opened)}))


try:
    main()
except Exception:
    print(f"call {len(statuses)}:", file=sys.stderr)
    raise
