/** The HTML of Bookinfo's product page, with all that came from elsewhere escaped. */
import type { Book, Review, Reviews } from "./bookinfo.ts";
import type { Answer } from "./bookinfo-call.ts";

export interface PageContent {
  /** Empty: nobody is logged in. */
  readonly user: string;
  readonly version: string;
  readonly details: Answer<Book>;
  readonly reviews: Answer<Reviews>;
}

export function renderPage(content: PageContent): string {
  const { user, details, reviews } = content;
  const title = details.at === "ok" ? details.body.title : "Bookinfo";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header><strong>Bookinfo</strong>${userHtml(user)}</header>
<main>
<h1>${escapeHtml(title)}</h1>
<section class="columns">
<article><h2>Details</h2>${detailsHtml(details)}</article>
<article><h2>Reviews</h2>${reviewsHtml(reviews)}</article>
</section>
${callsHtml(content)}
</main>
</body>
</html>
`;
}

function userHtml(user: string): string {
  return user === ""
    ? `<form method="post" action="/login"><input name="username" value="test-user" ` +
        `aria-label="user name" maxlength="32"><button>Log in</button></form>`
    : `<form action="/logout"><span>${escapeHtml(user)}</span><button>Log out</button></form>`;
}

function detailsHtml(answer: Answer<Book>): string {
  if (answer.at === "failed") return failedHtml("Details", answer.reason);
  const { author, year, type, pages, publisher, language, isbn } = answer.body;
  const rows = Object.entries({ author, year, type, pages, publisher, language, ISBN: isbn });
  const cells = rows.map(([k, v]) => `<dt>${k}</dt><dd>${escapeHtml(String(v))}</dd>`);
  return `<dl>${cells.join("")}</dl>`;
}

function reviewsHtml(answer: Answer<Reviews>): string {
  if (answer.at === "failed") return failedHtml("Reviews", answer.reason);
  return answer.body.reviews.map(reviewHtml).join("");
}

function reviewHtml({ reviewer, text, rating }: Review): string {
  const cite = `<cite>${escapeHtml(reviewer)}</cite>`;
  return `<blockquote><p>${escapeHtml(text)}</p>${starsHtml(rating)}${cite}</blockquote>`;
}

function starsHtml(rating: Review["rating"]): string {
  if (rating === undefined) return "";
  if ("error" in rating)
    return `<p class="failed">Ratings are unavailable (${escapeHtml(rating.error)})</p>`;
  const stars = Math.max(0, Math.min(5, Math.round(rating.stars)));
  const color = rating.color === "red" ? "red" : "black";
  const shown = `${"★".repeat(stars)}<i>${"★".repeat(5 - stars)}</i>`;
  return `<p class="stars ${color}" aria-label="${stars} of 5 stars">${shown}</p>`;
}

function failedHtml(what: string, reason: string): string {
  return `<p class="failed">${what} are unavailable (${escapeHtml(reason)})</p>`;
}

/** Who answered, and how long it took: the point of the demo. */
function callsHtml({ version, details, reviews }: PageContent): string {
  const row = (service: string, answer: Answer<{ readonly version: string }>): string =>
    `<tr><td>${service}</td><td>${
      answer.at === "ok" ? escapeHtml(answer.body.version) : escapeHtml(answer.reason)
    }</td><td>${answer.tookMs.toFixed(1)} ms</td></tr>`;
  return `<table><caption>Calls behind this page, by productpage ${escapeHtml(version)}</caption>
<tr><th>service</th><th>answered by</th><th>took</th></tr>
${row("details", details)}${row("reviews", reviews)}</table>`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
header { display: flex; justify-content: space-between; align-items: center;
  padding: .6rem 1.5rem; border-bottom: 1px solid var(--line); }
form { display: flex; gap: .5rem; align-items: center; margin: 0; }
input, button { font: inherit; padding: .15rem .6rem; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
h2 { font-size: 1rem; text-transform: uppercase; letter-spacing: .06em; opacity: .7; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 2rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1rem; margin: 0; }
dt { opacity: .7; } dd { margin: 0; }
blockquote { margin: 0 0 1rem; padding: .8rem 1rem; border-left: 3px solid var(--line);
  background: var(--soft); }
blockquote p { margin: 0 0 .3rem; } cite { opacity: .7; }
.stars { font-size: 1.4rem; letter-spacing: .1em; } .stars i { opacity: .2; font-style: normal; }
.stars.red { color: #d22; } .stars.black { color: inherit; }
.failed { color: #b40; background: #f801; padding: .4rem .7rem; border: 1px solid #f806; }
table { margin-top: 2rem; border-collapse: collapse; font-size: .85rem; }
caption { text-align: left; opacity: .7; padding-bottom: .3rem; }
th, td { text-align: left; padding: .15rem 1.2rem .15rem 0; font-weight: normal; }
th { opacity: .6; }
`;
