/**
 * The login page, in the browser: an access token is sent once, in a header that no page of
 * somebody else can send, and comes back as a cookie that no script can read.
 */
const form = document.querySelector("form");
const input = document.querySelector("input");
const said = document.querySelector("#said");

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  void login(input?.value.trim() ?? "");
});

async function login(token: string): Promise<void> {
  const say = (words: string): void => {
    if (said !== null) said.textContent = words;
  };
  if (!/^[!-~]+$/.test(token)) return say("That is no access token.");
  say("Asking the manager …");
  try {
    const headers = { authorization: `Bearer ${token}` };
    const { status } = await fetch("/login", { method: "POST", headers });
    if (status === 204) location.replace("/");
    else say(status === 401 ? "The manager does not know this token." : `It answered ${status}.`);
  } catch {
    say("The manager does not answer.");
  }
}
