# A first verified call with wechatpayv3: pip install wechatpayv3==2.0.4 && python3 first.py
import os
from pathlib import Path

# The SDK has the official host written into it: the sandbox is its proxy, and its authority has to be trusted.
os.environ["REQUESTS_CA_BUNDLE"] = str(Path(os.environ["WECHATPAY_PUBLIC_KEY"]).with_name("ca.pem"))
from wechatpayv3 import WeChatPay, WeChatPayType

wxpay = WeChatPay(
    wechatpay_type=WeChatPayType.NATIVE, mchid=os.environ["WECHATPAY_MCHID"], appid="wx233544546545989",
    private_key=Path(os.environ["WECHATPAY_PRIVATE_KEY"]).read_text(), cert_serial_no=os.environ["WECHATPAY_SERIAL_NO"],
    apiv3_key=os.environ["WECHATPAY_APIV3_KEY"], public_key=Path(os.environ["WECHATPAY_PUBLIC_KEY"]).read_text(),
    public_key_id=os.environ["WECHATPAY_PUBLIC_KEY_ID"], proxy={"https": os.environ["WECHATPAY_BASE_URL"]},
)
# It raises an exception if the answer does not verify.
status, body = wxpay.marketing_favor_stock_list(stock_creator_mchid=os.environ["WECHATPAY_MCHID"])
if status != 200:
    raise SystemExit(f"{status} {body}")
print(status, "verified", body)
