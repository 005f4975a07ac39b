// Medusa's payment provider for Stripe: every call of it. `medusa.mjs FACTS`
// The package has no setting for the address, so its client is replaced, as a shop would in a subclass.
import { createRequire } from "node:module";
import { address, back, completeChallenge, delivered, equal, facts, key, order, refused, run } from "./calls.mjs";

const require = createRequire(import.meta.url);
const { StripeProviderService } = require("@medusajs/payment-stripe/dist/services");
const Stripe = createRequire(require.resolve("@medusajs/payment-stripe"))("stripe");

class Provider extends StripeProviderService {
  constructor(options) {
    super({ logger: console }, { apiKey: facts.secret_key, ...options });
    this.stripe_ = new Stripe(facts.secret_key, address);
  }
}
const provider = new Provider({ capture: false });
const stripe = provider.stripe_;

const context = (more = {}) => ({ idempotency_key: key().idempotencyKey, ...more });
const begin = (method = "pm_card_visa", more = {}) =>
  provider.initiatePayment({
    currency_code: "eur",
    amount: 12.5,
    data: { session_id: order(), payment_method: method, confirm: true, return_url: back, ...more },
    context: context(),
  });

const customer = { email: "ann@shop.example", first_name: "Ann", last_name: "Lee", phone: "0171/2345" };
customer.billing_address = { city: "Bonn", country_code: "de", address_1: "Main Street 1", postal_code: "53111" };
const holder = {};

const calls = {
  initiatePayment: async () => {
    const begun = await begin("pm_card_visa");
    equal([begun.status, begun.data.amount, begun.data.status], ["authorized", 1250, "requires_capture"]);
    const plain = await provider.initiatePayment({ currency_code: "eur", amount: 12.5, data: { session_id: order() }, context: context() });
    equal([plain.status, plain.data.status], ["pending", "requires_payment_method"]);
  },
  "initiatePayment, declined": async () => {
    const begun = await begin("pm_card_chargeDeclined");
    equal([begun.status, begun.data.last_payment_error.code], ["error", "card_declined"]);
  },
  "initiatePayment, 3-D Secure": async () => {
    const begun = await begin("pm_card_threeDSecure2Required");
    equal(begun.status, "requires_more");
    await completeChallenge(begun.data.next_action.redirect_to_url.url);
    equal((await provider.authorizePayment({ data: begun.data })).status, "authorized");
  },
  authorizePayment: async () => {
    const { data } = await begin();
    equal((await provider.authorizePayment({ data })).status, "authorized");
  },
  getPaymentStatus: async () => {
    const { data } = await begin();
    equal((await provider.getPaymentStatus({ data })).status, "authorized");
  },
  retrievePayment: async () => {
    const { data } = await begin();
    equal((await provider.retrievePayment({ data })).data.amount, 12.5);
  },
  updatePayment: async () => {
    const { data } = await provider.initiatePayment({ currency_code: "eur", amount: 12.5, data: { session_id: order() }, context: context() });
    const changed = await provider.updatePayment({ data, currency_code: "eur", amount: 20, context: context() });
    equal([changed.status, changed.data.amount], ["pending", 2000]);
  },
  capturePayment: async () => {
    const { data } = await begin();
    equal((await provider.capturePayment({ data, context: context() })).data.status, "succeeded");
    equal((await provider.capturePayment({ data, context: context() })).data.status, "succeeded"); // once more
  },
  refundPayment: async () => {
    const { data } = await begin();
    await provider.capturePayment({ data, context: context() });
    await provider.refundPayment({ data, amount: 5, context: context() });
    equal((await stripe.refunds.list({ payment_intent: data.id })).data[0].amount, 500);
    await provider.refundPayment({ data, amount: 7.5, context: context() });
    await provider.refundPayment({ data, amount: 7.5, context: context() }); // "already refunded" is no error
  },
  cancelPayment: async () => {
    const { data } = await begin();
    equal((await provider.cancelPayment({ data, context: context() })).data.status, "canceled");
    equal((await provider.cancelPayment({ data, context: context() })).data.status, "canceled"); // once more
  },
  deletePayment: async () => {
    const { data } = await begin();
    equal((await provider.deletePayment({ data, context: context() })).data.status, "canceled");
  },
  createAccountHolder: async () => {
    Object.assign(holder, await provider.createAccountHolder({ context: context({ customer }) }));
    equal([holder.data.name, holder.data.address.city], ["Ann Lee", "Bonn"]);
  },
  updateAccountHolder: async () => {
    const changed = { ...customer, first_name: "Eve" };
    const { data } = await provider.updateAccountHolder({ context: context({ account_holder: holder, customer: changed }) });
    equal(data.name, "Eve Lee");
  },
  "pay as an account holder": async () => {
    const begun = await provider.initiatePayment({
      currency_code: "eur",
      amount: 12.5,
      data: { session_id: order(), payment_method: "pm_card_visa", confirm: true },
      context: context({ account_holder: holder }),
    });
    equal([begun.status, begun.data.customer], ["authorized", holder.id]);
  },
  listPaymentMethods: async () => {
    await stripe.paymentMethods.attach("pm_card_mastercard", { customer: holder.id });
    const listed = await provider.listPaymentMethods({ context: { account_holder: holder } });
    equal(listed.some((method) => method.data.card.brand === "mastercard"), true);
  },
  savePaymentMethod: async () => {
    const data = { payment_method: "pm_card_visa", confirm: true };
    const saved = await provider.savePaymentMethod({ data, context: context({ account_holder: holder }) });
    equal([saved.data.status, saved.data.customer], ["succeeded", holder.id]);
  },
  "pay and keep the card": async () => {
    const begun = await provider.initiatePayment({
      currency_code: "eur",
      amount: 12.5,
      data: { session_id: order(), payment_method: "pm_card_amex", confirm: true, setup_future_usage: "off_session" },
      context: context({ account_holder: holder }),
    });
    equal([begun.status, begun.data.setup_future_usage], ["authorized", "off_session"]);
    const listed = await provider.listPaymentMethods({ context: { account_holder: holder } });
    equal(listed.some((method) => method.data.card.brand === "amex"), true);
  },
  deletePaymentMethod: async () => {
    const [method] = await provider.listPaymentMethods({ context: { account_holder: holder } });
    await provider.deletePaymentMethod({ data: { id: method.id }, context: context() });
    const left = await provider.listPaymentMethods({ context: { account_holder: holder } });
    equal(left.some((each) => each.id === method.id), false);
  },
  deleteAccountHolder: async () => {
    equal(await provider.deleteAccountHolder({ context: { account_holder: holder } }), {});
    equal((await stripe.customers.retrieve(holder.id)).deleted, true);
  },
  getWebhookActionAndData: async () => {
    const { secret } = await stripe.webhookEndpoints.create({ url: facts.receiver_url, enabled_events: ["*"] });
    const listening = new Provider({ webhookSecret: secret });
    const { data } = await begin();
    const told = async (type) => {
      const { body, signature } = await delivered(data.id, type);
      return listening.getWebhookActionAndData({ rawData: body, headers: { "stripe-signature": signature } });
    };
    const session_id = data.metadata.session_id;
    equal(await told("payment_intent.amount_capturable_updated"), { action: "authorized", data: { session_id, amount: 12.5 } });
    await provider.capturePayment({ data, context: context() });
    equal(await told("payment_intent.succeeded"), { action: "captured", data: { session_id, amount: 12.5 } });
    const forged = { rawData: "{}", headers: { "stripe-signature": "t=1,v1=00" } };
    equal((await refused(listening.getWebhookActionAndData(forged))).message.includes("signature"), true);
  },
};
await run(Object.fromEntries(Object.entries(calls).map(([name, call]) => [`medusa: ${name}`, call])));
