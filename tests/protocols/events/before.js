// What the recipe's code leaves to its page: here each call is told to the page's own server, one after another.
let told = Promise.resolve();
const tell = (what) => {
  told = told.then(() => fetch("/heard", { method: "POST", body: JSON.stringify(what) }));
};
const show = (features) => tell({ shown: features });
const remind = (end) => tell({ reminded: end.feature });
