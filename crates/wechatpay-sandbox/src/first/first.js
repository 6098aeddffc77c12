// A first verified call with wechatpay-axios-plugin: npm install wechatpay-axios-plugin@0.9.6 && node first.js
const { readFileSync } = require('fs');
const { Wechatpay } = require('wechatpay-axios-plugin');

const env = process.env;
const wxpay = new Wechatpay({
  baseURL: `${env.WECHATPAY_BASE_URL}/`,
  mchid: env.WECHATPAY_MCHID,
  serial: env.WECHATPAY_SERIAL_NO,
  privateKey: readFileSync(env.WECHATPAY_PRIVATE_KEY),
  certs: { [env.WECHATPAY_PUBLIC_KEY_ID]: readFileSync(env.WECHATPAY_PUBLIC_KEY) },
});

// An answer that does not verify is an error.
wxpay.v3.marketing.favor.stocks
  .get({ params: { offset: 0, limit: 10, stock_creator_mchid: env.WECHATPAY_MCHID } })
  .then(({ status, data }) => console.log(status, 'verified', JSON.stringify(data)))
  .catch((error) => {
    console.error(error.message, error.response?.data);
    process.exit(1);
  });
