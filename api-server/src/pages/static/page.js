// The search page: the form makes searches, the lists follow them and the feeds, the table shows what they found.
import * as feeds from "./feeds.js";
import * as form from "./form.js";
import * as queries from "./queries.js";
import * as results from "./results.js";

let latest = "";

form.start((state, label) => {
  latest = state.name;
  queries.add(state, label);
});
queries.start({
  show: (state, label) => results.showOf(state, label, { focus: true }),
  // What was asked for last is what somebody waits for, unless they are reading something else by now.
  ended: (state, label) => {
    if (state.name === latest && state.num_entries && results.isUntouched()) results.showOf(state, label);
  },
});
results.start();
feeds.start((items, label) => results.showOf(items, label, { focus: true }));
