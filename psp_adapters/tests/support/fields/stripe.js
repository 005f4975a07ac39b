// The part of Stripe.js that the driver uses, as Stripe documents it, with its refusals of wrong use.
window.Stripe = (key, given = {}) => {
  if (!/^pk_(test|live)_/.test(key)) throw new Error("IntegrationError: pass your publishable key.");
  refuseUnknown(given, ["locale", "stripeAccount"]);
  return {
    elements(options) {
      refuseUnknown(options, [
        "mode", "amount", "currency", "captureMethod", "setupFutureUsage", "paymentMethodTypes",
        "paymentMethodCreation", "appearance",
      ]);
      if (options.mode === "payment" && !(Number.isInteger(options.amount) && /^[a-z]{3}$/.test(options.currency))) {
        throw new Error("IntegrationError: mode payment needs amount and currency.");
      }
      if (options.paymentMethodCreation !== "manual") throw new Error("IntegrationError: paymentMethodCreation.");
      const handlers = {}, elements = {submitted: false};
      elements.create = (type, {wallets}) => {
        if (type !== "payment") throw new Error(`IntegrationError: ${type}`);
        document.documentElement.dataset.wallets = wallets.applePay;
        return {
          on(name, handler) { handlers[name] = handler; return this; },
          mount(selector) { elements.frame = new DoubledFrame(selector, () => handlers.ready({})); },
        };
      };
      elements.submit = async () => {
        const {error} = await elements.frame.ask("check");
        elements.submitted = !error;
        return error ? {error: {type: "validation_error", message: error}} : {selectedPaymentMethod: "card"};
      };
      return elements;
    },
    async createPaymentMethod({elements}) {
      if (!elements.submitted) throw new Error("IntegrationError: elements.submit() must be called before.");
      const {token, error} = await elements.frame.ask("tokenize");
      return token ? {paymentMethod: {id: token, type: "card"}} : {error: {type: "card_error", message: error}};
    },
  };
};
