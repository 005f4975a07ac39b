// What a merchant's Node server sets up, and how the scripts here talk to the test that runs them:
// facts come as JSON in the first argument, results go out as JSON.
import Stripe from "stripe";

export const facts = JSON.parse(process.argv[2]);

const { hostname, port } = new URL(facts.base_url);

// What the SDK received, for the test that runs the script: it holds them to the reference.
const answers = [];

function recorded() {
  const http = Stripe.createNodeHttpClient();
  const send = http.makeRequest.bind(http);
  http.makeRequest = async (host, port, path, method, ...rest) => {
    const answer = await send(host, port, path, method, ...rest);
    const read = answer.toJSON.bind(answer);
    answer.toJSON = async () => {
      const body = await read();
      // As text, since the SDK goes on to change the object of an error.
      const text = JSON.stringify(body);
      answers.push({ method, path, status: answer.getStatusCode(), body: text });
      return body;
    };
    return answer;
  };
  return http;
}

export function client({ key = facts.secret_key, ...config } = {}) {
  const server = { host: hostname, port, protocol: "http", httpClient: recorded() };
  return new Stripe(key, { ...server, telemetry: false, ...config });
}

export function order(orderId, more = {}) {
  return {
    amount: 10000,
    currency: "usd",
    payment_method: "pm_card_visa",
    confirm: true,
    metadata: { order_id: orderId },
    ...more,
  };
}

export function report(results) {
  // The SDK leaves the answer of an attempt that it repeats unread, and that connection would keep the
  // process alive until the server gives it up.
  process.stdout.write(JSON.stringify({ results, answers }), () => process.exit());
}
