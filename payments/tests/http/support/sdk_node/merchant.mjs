// What a merchant's Node server sets up, and how the scripts here talk to the test that runs them:
// facts come as JSON in the first argument, results go out as JSON.
import Stripe from "stripe";

export const facts = JSON.parse(process.argv[2]);

const { hostname, port } = new URL(facts.base_url);

export function client({ key = facts.secret_key, ...config } = {}) {
  return new Stripe(key, { host: hostname, port, protocol: "http", telemetry: false, ...config });
}

export function order(orderId, more = {}) {
  return {
    amount: 10000,
    currency: "usd",
    payment_method: "pm_card_visa",
    confirm: true,
    metadata: { order_id: orderId },
    ...more,
  };
}

export function report(results) {
  // The SDK leaves the answer of an attempt that it repeats unread, and that connection would keep the
  // process alive until the server gives it up.
  process.stdout.write(JSON.stringify(results), () => process.exit());
}
