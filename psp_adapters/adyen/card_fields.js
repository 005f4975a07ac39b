"use strict";
// Mounts Adyen's Card component on the checkout page. The number stays in frames of Adyen; what they
// encrypt comes out, which our server exchanges at Adyen for a token, and keeps nowhere.
window.cardFields = {
  isLoaded: () => Boolean(window.AdyenWeb),
  async mount(place, {key, settings, language, exchange}) {
    const {AdyenCheckout, Card} = window.AdyenWeb;
    const sheet = document.createElement("link");
    document.head.append(Object.assign(sheet, {rel: "stylesheet", href: settings.style}));
    // Adyen's analytics would be told the address of this page, which is a secret.
    const checkout = await AdyenCheckout({
      clientKey: key, environment: settings.environment, countryCode: settings.country,
      locale: {de: "de-DE"}[language] || "en-US", analytics: {enabled: false}, showPayButton: false,
    });
    const card = new Card(checkout, {showPayButton: false});
    card.mount(place);
    return {
      async token() {
        if (!card.isValid) {
          card.showValidation();  // The fields show what the customer has to correct.
          return "";
        }
        const encrypted = Object.entries(card.data.paymentMethod).filter(([name]) => name.startsWith("encrypted"));
        return exchange(Object.fromEntries(encrypted));
      },
    };
  },
};
