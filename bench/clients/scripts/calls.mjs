// What the scripts of Node share: facts come as JSON in the first argument, and each call goes out as a line.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

export const facts = JSON.parse(process.argv[2]);
export const back = `${facts.receiver_url}/back`;
export const equal = (got, expected) => assert.deepEqual(got, expected);
export const key = () => ({ idempotencyKey: `key-${randomUUID()}` });
export const order = () => `order-${randomUUID()}`;

const { hostname, port } = new URL(facts.base_url);
export const address = { host: hostname, port, protocol: "http" };

export async function run(calls) {
  for (const [call, make] of Object.entries(calls)) {
    let [result, detail] = ["pass", ""];
    try {
      detail = (await make()) ?? "";
    } catch (error) {
      result = error.code === "unrecognized_url" ? "unsupported" : "fail";
      detail = `${error.name}: ${error.message}`.slice(0, 400);
    }
    console.log(JSON.stringify({ call, result, detail }));
  }
  process.exit(); // an SDK may keep a connection open
}

export async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}

export async function waitFor(condition, seconds = 40) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const found = await condition();
    if (found) return found;
    await new Promise((resume) => setTimeout(resume, 300));
  }
  throw new Error(`not within ${seconds} s`);
}

// What was delivered to the merchant's server about a payment.
export const delivered = (paymentId, type) =>
  waitFor(async () => {
    const all = await (await fetch(facts.receiver_url)).json();
    return all.find((each) => each.body.includes(paymentId) && JSON.parse(each.body).type === type);
  });

// The customer completes the bank's challenge, and is sent back to the shop by way of our page.
export async function completeChallenge(url) {
  const page = new URL(url);
  page.pathname += "/complete";
  return (await fetch(page, { method: "POST" })).url;
}
