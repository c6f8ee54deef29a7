"use strict";
const articles = [...document.querySelectorAll("article")];
const components = [...document.querySelectorAll("details.component")];
const search = document.querySelector("input[type=search]");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const article of articles) {
    const text = (article.closest("details.component").dataset.name + " " + article.textContent).toLowerCase();
    article.hidden = !words.every((word) => text.includes(word));
  }
  for (const component of components) {
    component.hidden = !component.querySelector("article:not([hidden])");
    if (words.length && !component.hidden) component.open = true;
  }
  document.querySelector(".nothing").hidden = !words.length || components.some((component) => !component.hidden);
});
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => {
    for (const component of components) component.open = button.dataset.open === "true";
  });
}
