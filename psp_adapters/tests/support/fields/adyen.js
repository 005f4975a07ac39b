// The part of Adyen Web (v6) that the driver uses, as Adyen documents it.
window.AdyenWeb = {
  async AdyenCheckout(given) {
    refuseUnknown(given, ["clientKey", "environment", "countryCode", "locale", "analytics", "showPayButton"]);
    if (!/^(test|live)_[A-Z0-9]+$/.test(given.clientKey)) throw new Error("This is no client key.");
    if (!given.clientKey.startsWith(given.environment.slice(0, 4))) throw new Error("A key of the other environment.");
    if (!/^[A-Z]{2}$/.test(given.countryCode)) throw new Error("You must specify a countryCode when initializing checkout.");
    return {given};
  },
  Card: class {
    constructor(checkout, {showPayButton}) {
      if (!checkout.given || showPayButton !== false) throw new Error("Wrong use of Card.");
      this.state = {};
    }
    mount(place) {
      this.frame = new DoubledFrame(`#${place.id}`, () => {});
      // The fields tell the component what they encrypt while the customer types.
      setInterval(async () => {
        const {token} = await this.frame.ask("peek");
        this.state = token ? {encryptedCardNumber: token, encryptedExpiryMonth: "sealed.12", encryptedExpiryYear: "sealed.34", encryptedSecurityCode: "sealed.cvc"} : {};
      }, 100);
      return this;
    }
    get isValid() { return "encryptedCardNumber" in this.state; }
    get data() { return {paymentMethod: {type: "scheme", holderName: "", brand: "visa", ...this.state}}; }
    showValidation() { this.frame.ask("check"); }
  },
};
