// The part of Mollie.js (v1) that the driver uses, as Mollie documents it.
window.Mollie = (profile, given) => {
  if (!profile.startsWith("pfl_")) throw new Error("This is no profile id.");
  refuseUnknown(given, ["locale", "testmode"]);
  if (!/^[a-z]{2}_[A-Z]{2}$/.test(given.locale)) throw new Error("This is no locale.");
  let frame = null;
  return {
    createComponent(type) {
      if (type !== "card") throw new Error(`There is no component ${type}.`);
      return {mount(selector) { frame = new DoubledFrame(selector, () => {}); }};
    },
    async createToken() {
      const {token, error} = await frame.ask("tokenize");
      return token ? {token} : {error: {message: error}};
    },
  };
};
