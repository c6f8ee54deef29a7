// Entry point of shop @VERSION@: collects facts and shows them on the page.
const facts = { version: "@VERSION@", path: location.pathname };
const sale = location.pathname.match(/^\/sales\/(\d+)$/);
if (sale) {
  const { describe } = await import("./sale-@SALE@.js");
  facts.sale = describe(sale[1]);
}
const model = await fetch("/ml-models/current.json");
facts.model = model.ok ? (await model.json()).version : model.status;
facts.missing = (await fetch("/ml-models/no-such-model.json")).status;
const factList = document.querySelector("#told");
factList.replaceChildren();
for (const [name, value] of Object.entries(facts)) {
  const term = document.createElement("dt");
  const fact = document.createElement("dd");
  term.textContent = name;
  fact.textContent = value;
  fact.id = name;
  factList.append(term, fact);
}
document.title = `Shop ${facts.version}`;
