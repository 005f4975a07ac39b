"use strict";
// Mounts Stripe's Payment Element on the checkout page, for cards alone. The number stays in frames of
// Stripe; a payment method (`pm_…`) comes out, which our server charges.
window.cardFields = {
  isLoaded: () => typeof window.Stripe === "function",
  async mount(place, {key, settings, wallets, language, mode, keeps, amount_minor, currency, capture, say}) {
    const account = settings.account ? {stripeAccount: settings.account} : {};
    const stripe = window.Stripe(key, {locale: language, ...account});
    const of = mode === "payment" ? {amount: amount_minor, currency, captureMethod: capture} : {};
    const elements = stripe.elements({
      mode, ...of, ...(keeps ? {setupFutureUsage: keeps} : {}),
      paymentMethodTypes: ["card"], paymentMethodCreation: "manual",
      appearance: {theme: matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe"},
    });
    const shown = wallets ? "auto" : "never";
    const element = elements.create("payment", {wallets: {applePay: shown, googlePay: shown}});
    const ready = new Promise((done, failed) => {
      element.on("ready", done);
      element.on("loaderror", failed);
    });
    element.mount(`#${place.id}`);
    await ready;
    return {
      async token() {
        const checked = await elements.submit();  // Opens the sheet of a wallet, if one is chosen.
        const made = checked.error ? checked : await stripe.createPaymentMethod({elements});
        if (!made.error) return made.paymentMethod.id;
        // Stripe's fields show what the customer typed wrong; everything else is told here.
        if (made.error.type !== "validation_error") say(made.error.message);
        return "";
      },
    };
  },
};
