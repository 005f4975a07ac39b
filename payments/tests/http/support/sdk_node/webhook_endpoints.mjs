// A webhook endpoint's life: each step's answer.
import Stripe from "stripe";
import { client, facts, report } from "./merchant.mjs";

const endpoints = client().webhookEndpoints;
const made = await endpoints.create({ url: facts.url, enabled_events: ["charge.*", "refund.failed"] });
const updated = await endpoints.update(made.id, { disabled: true });
const listed = [];
for await (const each of endpoints.list({ limit: 1 })) listed.push(each.id);
const { deleted } = await endpoints.del(made.id);
report({ made, updated, listed, deleted, version: Stripe.API_VERSION ?? made.api_version });
