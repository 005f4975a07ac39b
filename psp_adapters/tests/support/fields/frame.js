"use strict";
// A frame of the double's own origin, as the PSP's scripts make one for their fields.
class DoubledFrame {
  constructor(selector, shown) {
    const place = document.querySelector(selector);
    if (!place) throw new Error(`${selector} is not in the page.`);
    this.frame = document.createElement("iframe");
    this.frame.title = "Secure card fields";
    this.frame.style.cssText = "width:100%;height:220px;border:0";
    this.frame.addEventListener("load", shown);
    this.frame.src = `${DoubledFrame.origin}/frame`;
    place.append(this.frame);
  }
  ask(kind) {
    const id = Math.random();
    return new Promise((done) => {
      addEventListener("message", function hear({data, origin}) {
        if (origin !== DoubledFrame.origin || data.id !== id) return;
        removeEventListener("message", hear);
        done(data);
      });
      this.frame.contentWindow.postMessage({kind, id}, DoubledFrame.origin);
    });
  }
}
DoubledFrame.origin = new URL(document.currentScript.src).origin;
function refuseUnknown(options, known) {
  for (const name of Object.keys(options)) if (!known.includes(name)) throw new Error(`${name} is no option.`);
}
