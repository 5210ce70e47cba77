/* Making elements. What comes from a document or a person is only ever inserted as text, never as markup. */

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function button(className, label, action) {
  const element = make("button", { type: "button", class: className, dir: "auto" }, label);
  element.addEventListener("click", () => action(element));
  return element;
}
