"use strict";
// Mounts Mollie's card component on the checkout page. The number stays in frames of Mollie; a token
// (`tkn_…`) comes out, which our server charges.
window.cardFields = {
  isLoaded: () => typeof window.Mollie === "function",
  mount(place, {key, language, livemode, say}) {
    const locale = {de: "de_DE"}[language] || "en_US";
    const mollie = window.Mollie(key, {locale, testmode: !livemode});
    mollie.createComponent("card").mount(`#${place.id}`);
    return {
      async token() {
        const {token, error} = await mollie.createToken();
        if (error) say(error.message);
        return token || "";
      },
    };
  },
};
