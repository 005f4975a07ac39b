// Every call of the official Node SDK, in the form that all its releases since 12 have: `sdk.mjs FACTS`.
// Requests that move money name their Idempotency-Key: 12 sends none by itself, and is then refused.
import Stripe from "stripe";
import { address, back, completeChallenge, delivered, equal, facts, key, order, refused, run, waitFor } from "./calls.mjs";

const stripe = new Stripe(facts.secret_key, { ...address, maxNetworkRetries: 2 });
const intents = stripe.paymentIntents;

const pay = (method = "pm_card_visa", more = {}) =>
  intents.create(
    {
      amount: 1250,
      currency: "eur",
      payment_method: method,
      confirm: true,
      metadata: { order_id: order() },
      return_url: back,
      ...more,
    },
    key(),
  );

async function all(list) {
  const found = [];
  for await (const each of list) found.push(each);
  return found;
}

await run({
  "create, change, confirm": async () => {
    const made = await intents.create(
      { amount: 1250, currency: "eur", automatic_payment_methods: { enabled: true }, description: "Café" },
      key(),
    );
    equal([made.status, made.amount, made.currency], ["requires_payment_method", 1250, "eur"]);
    const changed = await intents.update(made.id, { amount: 1300, metadata: { gift: "yes" } });
    equal([changed.amount, changed.metadata.gift], [1300, "yes"]);
    const paid = await intents.confirm(made.id, { payment_method: "pm_card_visa", return_url: back }, key());
    equal([paid.status, paid.amount_received], ["succeeded", 1300]);
  },
  capture: async () => {
    const held = await pay("pm_card_visa", { capture_method: "manual" });
    equal([held.status, held.amount_capturable], ["requires_capture", 1250]);
    const captured = await intents.capture(held.id, { amount_to_capture: 1000 }, key());
    equal([captured.status, captured.amount_received], ["succeeded", 1000]);
  },
  cancel: async () => {
    const held = await pay("pm_card_visa", { capture_method: "manual" });
    const canceled = await intents.cancel(held.id, { cancellation_reason: "requested_by_customer" }, key());
    equal([canceled.status, canceled.cancellation_reason], ["canceled", "requested_by_customer"]);
  },
  "decline, then another card": async () => {
    const error = await refused(pay("pm_card_chargeDeclinedInsufficientFunds"));
    equal(error.constructor, Stripe.errors.StripeCardError);
    equal([error.code, error.decline_code, error.statusCode], ["card_declined", "insufficient_funds", 402]);
    equal(error.payment_intent.status, "requires_payment_method");
    const paid = await intents.confirm(error.payment_intent.id, { payment_method: "pm_card_visa" }, key());
    equal(paid.status, "succeeded");
  },
  "3-D Secure redirect": async () => {
    const asked = await pay("pm_card_threeDSecure2Required");
    equal([asked.status, asked.next_action.redirect_to_url.return_url], ["requires_action", back]);
    const shop = await completeChallenge(asked.next_action.redirect_to_url.url);
    equal(shop.startsWith(back) && shop.includes(`payment_intent=${asked.id}`), true);
    await waitFor(async () => (await intents.retrieve(asked.id)).status === "succeeded");
  },
  refund: async () => {
    const paid = await pay();
    const part = await stripe.refunds.create(
      { payment_intent: paid.id, amount: 500, reason: "requested_by_customer" },
      key(),
    );
    equal([part.status, part.amount, part.payment_intent], ["succeeded", 500, paid.id]);
    equal((await stripe.refunds.create({ charge: paid.latest_charge }, key())).amount, 750);
    equal((await stripe.charges.retrieve(paid.latest_charge)).refunded, true);
    equal((await stripe.refunds.list({ payment_intent: paid.id })).data.length, 2);
    const error = await refused(stripe.refunds.create({ payment_intent: paid.id }, key()));
    equal(error.code, "charge_already_refunded");
  },
  customers: async () => {
    const made = await stripe.customers.create({
      email: "ann@shop.example",
      name: "Ann Lee",
      phone: "0171 / 23 45",
      metadata: { tier: "gold" },
    });
    const changed = await stripe.customers.update(made.id, { name: "Ann Ray", address: { city: "Bonn" } });
    equal([changed.name, changed.address.city, changed.email], ["Ann Ray", "Bonn", made.email]);
    equal((await stripe.customers.list({ email: "ann@shop.example" })).data[0].id, made.id);
    equal((await stripe.customers.del(made.id)).deleted, true);
    equal((await stripe.customers.retrieve(made.id)).deleted, true);
  },
  "payment methods": async () => {
    const customer = await stripe.customers.create({ name: "Ann Lee" });
    const method = await stripe.paymentMethods.create({ type: "card", card: { token: "tok_visa" } });
    const attached = await stripe.paymentMethods.attach(method.id, { customer: customer.id });
    equal([attached.customer, attached.card.brand], [customer.id, "visa"]);
    const listed = await stripe.customers.listPaymentMethods(customer.id, { type: "card" });
    equal(listed.data.map((each) => each.id), [method.id]);
    const paid = await pay(method.id, { customer: customer.id, off_session: true });
    equal([paid.customer, paid.payment_method], [customer.id, method.id]);
    equal((await stripe.paymentMethods.detach(method.id)).customer, null);
  },
  "saved cards": async () => {
    const customer = await stripe.customers.create({ name: "Ann Lee" });
    const made = await stripe.setupIntents.create({ customer: customer.id, payment_method: "pm_card_visa" });
    const setup = await stripe.setupIntents.confirm(made.id);
    equal([setup.status, setup.customer, setup.usage], ["succeeded", customer.id, "off_session"]);
    const paid = await pay(setup.payment_method, { customer: customer.id, off_session: true });
    equal(paid.status, "succeeded");
    const kept = await pay("pm_card_amex", { customer: customer.id, setup_future_usage: "off_session" });
    const listed = await stripe.customers.listPaymentMethods(customer.id, { type: "card" });
    equal(listed.data.map((each) => each.id), [kept.payment_method, setup.payment_method]);
    equal((await stripe.setupIntents.list({ customer: customer.id })).data[0].id, setup.id);
  },
  "lists, automatic paging": async () => {
    const made = [];
    for (let n = 0; n < 5; n++) made.push((await intents.create({ amount: 1000 + n, currency: "eur" }, key())).id);
    const listed = (await all(intents.list({ limit: 2 }))).map((each) => each.id);
    equal(listed.slice(0, 5), made.toReversed());
    equal(new Set(listed).size, listed.length);
    const newer = (await all(intents.list({ limit: 2, ending_before: made[0] }))).map((each) => each.id);
    equal(newer.sort(), made.slice(1).sort());
  },
  events: async () => {
    const paid = await pay();
    const listed = await stripe.events.list({ type: "payment_intent.succeeded", limit: 5 });
    const event = listed.data.find((each) => each.data.object.id === paid.id);
    equal((await stripe.events.retrieve(event.id)).data.object.amount_received, 1250);
  },
  "webhook endpoint, signed event": async () => {
    const made = await stripe.webhookEndpoints.create({
      url: facts.receiver_url,
      enabled_events: ["payment_intent.*", "charge.*"],
    });
    const changed = await stripe.webhookEndpoints.update(made.id, { enabled_events: ["payment_intent.succeeded"] });
    equal([changed.status, changed.enabled_events], ["enabled", ["payment_intent.succeeded"]]);
    const paid = await pay();
    const got = await delivered(paid.id, "payment_intent.succeeded");
    const event = stripe.webhooks.constructEvent(got.body, got.signature, made.secret);
    equal([event.type, event.data.object.id], ["payment_intent.succeeded", paid.id]);
    const forged = new Promise(() => stripe.webhooks.constructEvent(got.body, got.signature, "whsec_another"));
    equal((await refused(forged)).type, "StripeSignatureVerificationError");
    equal((await stripe.webhookEndpoints.del(made.id)).deleted, true);
  },
  "classes of errors": async () => {
    const of = (error) => [error.type, error.statusCode, error.code, error.param];
    const stranger = new Stripe("sk_test_wrong", address);
    const invalid = "StripeInvalidRequestError";
    equal((await refused(stranger.balance.retrieve())).type, "StripeAuthenticationError");
    equal(of(await refused(intents.create({ currency: "eur" }, key()))), [invalid, 400, "parameter_missing", "amount"]);
    equal(of(await refused(intents.retrieve("pi_unknown"))).slice(0, 3), [invalid, 404, "resource_missing"]);
    const other = refused(stripe.balance.retrieve({}, { stripeAccount: "acct_other" }));
    equal((await other).type, "StripePermissionError");
    const unknown = await refused(pay("pm_card_visa", { customer: "cus_unknown" }));
    equal(of(unknown), [invalid, 400, "resource_missing", "customer"]);
  },
  "idempotent repeat": async () => {
    const [options, parameters] = [key(), { amount: 1250, currency: "eur", payment_method: "pm_card_visa", confirm: true }];
    const first = await intents.create(parameters, options);
    const again = await intents.create(parameters, options);
    equal([again.id, again.lastResponse.headers["idempotent-replayed"]], [first.id, "true"]);
    const error = await refused(intents.create({ ...parameters, amount: 1300 }, options));
    equal(error.type, "StripeIdempotencyError");
  },
  expand: async () => {
    const customer = await stripe.customers.create({ name: "Ann Lee" });
    const more = { customer: customer.id, expand: ["latest_charge.balance_transaction", "customer"] };
    const paid = await pay("pm_card_visa", more);
    equal([paid.customer.name, paid.latest_charge.balance_transaction.amount], ["Ann Lee", 1250]);
    const expanded = ["data.refunds", "data.review", "data.payment_intent"];
    const [charge] = (await stripe.charges.list({ payment_intent: paid.id, expand: expanded })).data;
    equal([charge.payment_intent.id, charge.refunds.data], [paid.id, []]);
  },
  "account, balance": async () => {
    const account = await (stripe.accounts.retrieveCurrent?.() ?? stripe.accounts.retrieve());
    equal([account.object, account.charges_enabled], ["account", true]);
    await pay();
    equal((await stripe.balance.retrieve()).pending[0].currency, "eur");
    equal((await stripe.balanceTransactions.list({ limit: 1 })).data[0].type, "charge");
  },
  search: async () => {
    const named = order();
    const made = await intents.create({ amount: 999, currency: "eur", metadata: { order_id: named } }, key());
    const found = await intents.search({ query: `metadata['order_id']:'${named}'` });
    equal(found.data.map((each) => each.id), [made.id]);
  },
});
