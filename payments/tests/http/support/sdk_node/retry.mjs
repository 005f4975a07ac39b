// What the SDK does by itself when an answer says that repeating is safe.
import { client, facts, order, report } from "./merchant.mjs";

const paid = await client({ maxNetworkRetries: 2 }).paymentIntents.create(order(facts.orders[0]));
report({ status: paid.status });
