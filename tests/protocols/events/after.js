// How the connection fares; `events` is the recipe's.
events.addEventListener("open", () => tell({ opened: true }));
events.addEventListener("error", () => tell({ lost: events.readyState }));
