// A dispute, read and answered: each step's answer in short, by the step's name.
import { client, facts, report } from "./merchant.mjs";

const disputes = client().disputes;
const steps = {};

const found = await disputes.retrieve(facts.dispute);
steps.found = [found.status, found.balance_transactions[0].net];
const staged = await disputes.update(facts.dispute, { evidence: { customer_name: "Ann" }, submit: false });
steps.staged = [staged.status, staged.evidence.customer_name];
const sent = await disputes.update(facts.dispute, { submit: true });
steps.sent = [sent.status, sent.evidence_details.submission_count];
try {
  await disputes.update(facts.dispute, { submit: true });
} catch (error) {
  steps.again = [error.type, error.code];
}
steps.listed = (await disputes.list({ limit: 5 })).data.map((dispute) => dispute.id);
report(steps);
