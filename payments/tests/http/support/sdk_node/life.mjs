// The life of a payment: each step's answer, by the step's name.
import { client, facts, order, report } from "./merchant.mjs";

const stripe = client();
const intents = stripe.paymentIntents;
const steps = {};

steps.created = await intents.create({ amount: 10000, currency: "usd", metadata: { order_id: facts.orders[0] } });
steps.updated = await intents.update(steps.created.id, { payment_method: "pm_card_visa", capture_method: "manual", metadata: { gift: "yes" } });
steps.confirmed = await intents.confirm(steps.created.id);
steps.incremented = await intents.incrementAuthorization(steps.created.id, { amount: 12000 });
steps.captured_in_part = await intents.capture(steps.created.id, { amount_to_capture: 2000, final_capture: false });
steps.captured = await intents.capture(steps.created.id, { amount_to_capture: 6000 });
steps.refunded = await stripe.refunds.create({ payment_intent: steps.created.id, amount: 3000 });
steps.retrieved = await intents.retrieve(steps.created.id, { expand: ["latest_charge.refunds"] });

const customer = await stripe.customers.create({ name: "Ann Lee", metadata: { tier: "gold" } });
const method = await stripe.paymentMethods.attach("pm_card_mastercard", { customer: customer.id });
steps.paid_by_customer = await intents.create(
  order(facts.orders[1], { customer: customer.id, payment_method: method.id, expand: ["customer"] }),
);
steps.canceled = await intents.cancel(
  (await intents.create(order(facts.orders[2], { capture_method: "manual" }))).id,
  { cancellation_reason: "requested_by_customer" },
);
steps.challenged = await intents.create(
  order(facts.orders[3], { payment_method: "pm_card_threeDSecure2Required", return_url: "https://shop.example.com/" }),
);

const key = `key-${facts.orders[4]}`;
const first = await intents.create(order(facts.orders[4]), { idempotencyKey: key });
const again = await intents.create(order(facts.orders[4]), { idempotencyKey: key });
steps.replayed = {
  same: first.id === again.id,
  header: again.lastResponse.headers["idempotent-replayed"],
  key: again.lastResponse.idempotencyKey === key,
  request_id: again.lastResponse.requestId,
  api_version: again.lastResponse.apiVersion,
};

const listed = [];
for await (const intent of intents.list({ limit: 2 })) listed.push(intent.id);
steps.listed = listed;
steps.events = (await stripe.events.list({ type: "payment_intent.*", limit: 100 })).data.map((e) => e.type);
steps.balance = await stripe.balance.retrieve();
steps.deleted = await stripe.customers.del(customer.id);
report(steps);
