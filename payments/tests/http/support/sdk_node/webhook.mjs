// What a merchant's Node server says to one request, with one secret after another.
import { client, facts, report } from "./merchant.mjs";

const stripe = client({ key: "sk_test_of_nobody" });
report(
  facts.secrets.map((secret) => {
    try {
      return stripe.webhooks.constructEvent(facts.body, facts.signature, secret).id;
    } catch (error) {
      return error.type ?? String(error);
    }
  }),
);
