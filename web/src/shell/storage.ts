/** What this browser keeps; null where its user has forbidden that. */

function storage(find: () => Storage): Storage | null {
  try {
    return find();
  } catch {
    return null;
  }
}

/** For ever, for all tabs: nothing secret. */
export const local = storage(() => localStorage);
/** Until the tab is closed, for this tab. */
export const ofTab = storage(() => sessionStorage);
