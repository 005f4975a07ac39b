// What the SDK does by itself when an answer says that repeating is safe.
import { client, facts, order, report } from "./merchant.mjs";

// Three refusals by the PSP: enough even if the server's own retry budget is spent.
const paid = await client({ maxNetworkRetries: 4 }).paymentIntents.create(order(facts.orders[0]));
report({ status: paid.status });
