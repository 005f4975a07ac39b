// Every class of error: what the SDK makes of each refusal, by name.
import Stripe from "stripe";
import { client, facts, order, report } from "./merchant.mjs";

const stripe = client({ maxNetworkRetries: 0 });
const intents = stripe.paymentIntents;

async function caught(promise) {
  try {
    return { unexpected: await promise };
  } catch (error) {
    const name = Object.keys(Stripe.errors).find((each) => error.constructor === Stripe.errors[each]);
    return {
      class: name ?? error.constructor.name,
      status: error.statusCode,
      code: error.code,
      decline_code: error.decline_code,
      param: error.param,
      payment_intent: error.payment_intent?.status,
      request_id: error.requestId,
      should_retry: error.headers?.["stripe-should-retry"],
    };
  }
}

report({
  wrong_key: await caught(client({ key: `sk_test_${"0".repeat(33)}` }).balance.retrieve()),
  other_account: await caught(stripe.balance.retrieve({}, { stripeAccount: "acct_of_somebody" })),
  missing: await caught(intents.create({ currency: "usd" })),
  unknown: await caught(intents.create(order(facts.orders[0], { ammount: 1 }))),
  not_a_number: await caught(intents.create(order(facts.orders[0], { amount: 10.5 }))),
  too_small: await caught(intents.create(order(facts.orders[0], { amount: 1 }))),
  no_such: await caught(intents.retrieve(facts.unknown_id)),
  wrong_state: await caught(intents.capture(facts.paid_id)),
  declined: await caught(intents.create(order(facts.orders[1], { payment_method: "pm_card_visa_chargeDeclinedLostCard" }))),
  other_request: await caught(intents.create(order(facts.orders[0]), { idempotencyKey: facts.used_key })),
  in_flight: await caught(intents.create(order(facts.busy_order), { idempotencyKey: facts.busy_key })),
  locked: await caught(intents.cancel(facts.locked_id)),
  psp_unavailable: await caught(intents.create(order(facts.throttled_order))),
});
